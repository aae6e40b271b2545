"""Arguments of ``export-triton``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli.values import add_engine, engine_name, positive

if TYPE_CHECKING:
    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def add_export_triton(commands: _Commands) -> argparse.ArgumentParser:
    """Add the command ``export-triton``."""
    parser = commands.add_parser(
        "export-triton",
        help="write an engine as a model of a Triton Inference Server",
        epilog="A server that has loaded it serves 'roadseg run triton://HOST:8001/NAME'.",
    )
    add_engine(parser)
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="the server's model repository"
    )
    parser.add_argument(
        "--name", type=engine_name, metavar="NAME", help="of the model; default: the engine's"
    )
    parser.add_argument(
        "--backend",
        choices=("tensorrt", "openvino", "python"),
        help="of the server; python runs OpenVINO in its Python; default: the runtime's own",
    )
    parser.add_argument(
        "--instances",
        type=positive,
        default=1,
        metavar="N",
        help="copies that compute at once, on each GPU or on the processor; default: %(default)s",
    )
    parser.add_argument("--force", action="store_true", help="replace another model of this name")
    return parser
