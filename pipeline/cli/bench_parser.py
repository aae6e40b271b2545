"""Arguments of ``bench``."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipeline.cli.values import (
    Commands,
    add_engine,
    add_hint,
    count,
    frames_per_second,
    positive,
    size,
)


def add_bench(commands: Commands) -> argparse.ArgumentParser:
    """Add the command ``bench``."""
    parser = commands.add_parser(
        "bench", help="measure an engine's speed on this machine, stage by stage"
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
        help="frames of a test video that is segmented from file to file for the table of stages; "
        "0 leaves it out; default: 60",
    )
    parser.add_argument(
        "--no-limit", action="store_true", help="do not measure the limit of this machine"
    )
    parser.add_argument("--layers", action="store_true", help="time each layer")
    parser.add_argument(
        "--flame", type=Path, metavar="SVG", help="draw the times of the layers as a flame chart"
    )
    parser.add_argument(
        "--min-fps",
        type=frames_per_second,
        metavar="N",
        help="exit with status 1 if the engine alone runs fewer frames per second, for CI",
    )
    parser.add_argument(
        "--junit",
        type=Path,
        metavar="XML",
        help="write the result as a JUnit report for a CI service",
    )
    parser.add_argument("--force", action="store_true", help="replace files of other programs")
    return parser
