"""``scripts/frontier.sh``: measure every network with weights, draw them, write the table."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
from pathlib import Path

from models.speeds import measured_speeds
from pipeline.runtimes.openvino.core import processor_name
from scripts.pages.frontier.chart import PICTURE, chart
from scripts.pages.frontier.measure import measure, prepare
from scripts.pages.frontier.table import write_table
from scripts.pages.frontier.tables import write_into_tables

log = logging.getLogger("scripts.pages.frontier")


def main() -> int:
    """Measure, unless told not to; write ``models/trained/speeds.json``, chart and table."""
    parser = argparse.ArgumentParser(prog="scripts/frontier.sh", description=__doc__)
    parser.add_argument("--page", action="store_true", help="draw what was measured before")
    parser.add_argument("--machine", metavar="TEXT", help="default: what OpenVINO calls it")
    parser.add_argument("--rounds", type=int, default=30, metavar="N", help="default: 30")
    parser.add_argument(
        "--calibration",
        type=Path,
        metavar="CAMVID",
        help="folder with train/ and val/: other input sizes than the registered one too",
    )
    parser.add_argument(
        "--engines",
        type=Path,
        metavar="DIR",
        help="keep the engines there, and measure those that are there already",
    )
    parser.add_argument("--build", action="store_true", help="build them, measure nothing")
    options = parser.parse_args()
    if options.build and options.engines is None:
        parser.error("--build needs --engines, where they are kept")
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    log.setLevel(logging.INFO)
    if not options.page:
        with tempfile.TemporaryDirectory() as scratch:
            folder = options.engines or Path(scratch)
            machine = options.machine or f"{processor_name()}, {os.cpu_count()} cores"
            if options.build:
                prepare(folder, options.calibration)
                return 0
            speeds = measure(folder, machine, options.rounds, options.calibration)
        speeds.save()
        write_into_tables(speeds)
    speeds = measured_speeds()
    PICTURE.write_text(chart(speeds), encoding="utf-8")
    write_table(speeds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
