"""Arguments of ``archive``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli.values import add_engine, positive

if TYPE_CHECKING:
    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]

_EPILOG = (
    "The archive is a partitioned Parquet table with a row a frame: source, index, name, seconds, "
    "and the share of each class; docs/scale.md says more. The same command given again goes on "
    "where it was ended."
)


def add_archive(commands: _Commands) -> argparse.ArgumentParser:
    """Add the command ``archive``."""
    parser = commands.add_parser(
        "archive", help="recordings into a table of class shares, on many machines", epilog=_EPILOG
    )
    add_engine(parser)
    parser.add_argument(
        "--source",
        required=True,
        action="append",
        metavar="VIDEO|DIR|PATTERN|LIST.txt|s3://...",
        help="a video, a folder, a pattern such as 'drives/**/*.mp4', a list with one a line, or "
        "these in an S3 store; may be repeated",
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
        help="sessions of one thread, or GPU, each; default: what fits",
    )
    parser.add_argument(
        "--every", type=positive, default=1, metavar="N", help="one of N frames of a video"
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
        help="write nothing; count frames and segments, and say what time to expect",
    )
    return parser
