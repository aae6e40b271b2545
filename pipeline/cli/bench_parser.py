"""Arguments of ``bench``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli.values import add_engine, add_hint, count, frames_per_second, positive, size

if TYPE_CHECKING:
    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def add_bench(commands: _Commands) -> argparse.ArgumentParser:
    """Add the command ``bench``."""
    parser = commands.add_parser(
        "bench", help="speed of an engine on this machine, and where its time goes"
    )
    add_engine(parser)
    add_hint(parser)
    parser.add_argument(
        "--frame", type=size, metavar="WxH", help="size of the frames; default: the network's"
    )
    parser.add_argument(
        "--runs", type=positive, default=200, metavar="N", help="of the engine alone; default: 200"
    )
    parser.add_argument(
        "--clip",
        type=count,
        default=60,
        metavar="N",
        help="frames of the file that is segmented into a video for the table of stages; "
        "0: none; default: 60",
    )
    parser.add_argument(
        "--no-limit", action="store_true", help="do not measure what this machine could do"
    )
    parser.add_argument("--layers", action="store_true", help="time each layer")
    parser.add_argument(
        "--flame", type=Path, metavar="SVG", help="draw the times of the layers as a flame chart"
    )
    parser.add_argument(
        "--min-fps",
        type=frames_per_second,
        metavar="N",
        help="exit with status 1 where the engine alone runs fewer frames per second: for CI",
    )
    parser.add_argument(
        "--junit",
        type=Path,
        metavar="XML",
        help="write the outcome for a CI service, passed or not",
    )
    parser.add_argument("--force", action="store_true", help="replace a file that is not ours")
    return parser
