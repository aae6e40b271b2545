"""Arguments of ``archive`` and ``export-triton``: what works beyond one machine."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipeline.cli.values import Commands, add_engine, engine_name, positive

_EPILOG = (
    "The archive is a partitioned Parquet table with one row per frame: source, index, name, "
    "seconds, and the share of each class (see docs/scale.md). Run the same command again to "
    "continue where it stopped."
)


def add_archive(commands: Commands) -> argparse.ArgumentParser:
    """Add the command ``archive``."""
    parser = commands.add_parser(
        "archive",
        help="write class shares of recordings into a table, on many machines",
        epilog=_EPILOG,
    )
    add_engine(parser)
    parser.add_argument(
        "--source",
        required=True,
        action="append",
        metavar="VIDEO|DIR|PATTERN|LIST.txt|s3://...",
        help="a video, a folder, a pattern such as 'drives/**/*.mp4', a text file with one of "
        "these per line, or any of them in an S3 store; may be repeated",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="the archive")
    parser.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="run on this Ray cluster, such as 10.0.0.5:6379; default: on this machine",
    )
    parser.add_argument(
        "--workers",
        type=positive,
        metavar="N",
        help="number of sessions, each with one thread or one GPU; default: as many as fit",
    )
    parser.add_argument(
        "--every", type=positive, default=1, metavar="N", help="use every Nth frame of a video"
    )
    parser.add_argument(
        "--masks", action="store_true", help="also the class maps, a column of PNGs"
    )
    parser.add_argument(
        "--overlay", action="store_true", help="also a video of each source with the classes on it"
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="write nothing; count frames and segments, and estimate the time",
    )
    return parser


def add_export_triton(commands: Commands) -> argparse.ArgumentParser:
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
        "--name", type=engine_name, metavar="NAME", help="name of the model; default: the engine's"
    )
    parser.add_argument(
        "--backend",
        choices=("tensorrt", "openvino", "python"),
        help="backend of the server; python runs OpenVINO in the server's Python; default: the "
        "runtime's own",
    )
    parser.add_argument(
        "--instances",
        type=positive,
        default=1,
        metavar="N",
        help="model copies that compute in parallel, on each GPU or on the processor; default: "
        "%(default)s",
    )
    parser.add_argument("--force", action="store_true", help="replace another model of this name")
    return parser
