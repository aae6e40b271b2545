"""Build every network with weights in FP32 and INT8, and time them and other tools in turn.

Writes models/speeds.json, which `roadseg models --fastest` reads, the INT8 speedups in the
calibration tables, the chart docs/frontier.svg, the table in docs/performance.md and the speeds in
docs/accuracy.md. The machine should be idle.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from pathlib import Path

from models.speeds import measured_speeds
from scripts.pages import accuracy
from scripts.pages.frontier.chart import PICTURE, chart
from scripts.pages.frontier.measure import measure, prepare
from scripts.pages.frontier.table import write_table
from scripts.pages.frontier.tables import write_into_tables
from scripts.pages.zoo.measure import this_machine

log = logging.getLogger("scripts.pages.frontier")


def main() -> int:
    """Measure, unless told not to; write ``models/speeds.json``, chart and table."""
    parser = argparse.ArgumentParser(prog="scripts/frontier.sh", description=__doc__)
    parser.add_argument("--page", action="store_true", help="draw the last measurement")
    parser.add_argument(
        "--machine",
        metavar="TEXT",
        help="its name for the page; default: OpenVINO's name and the cores",
    )
    parser.add_argument(
        "--rounds", type=int, default=30, metavar="N", help="turns of each; default: 30"
    )
    parser.add_argument(
        "--calibration",
        type=Path,
        metavar="CAMVID",
        help="folder of CamVid with train/ and val/, to calibrate other input sizes too",
    )
    parser.add_argument(
        "--engines",
        type=Path,
        metavar="DIR",
        help="keep the engines there, and use those of the registered weights that exist; empty it "
        "after a change of the code or of a calibration table",
    )
    parser.add_argument("--build", action="store_true", help="build the engines, measure nothing")
    options = parser.parse_args()
    if options.build and options.engines is None:
        parser.error("--build needs --engines, where they are kept")
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    log.setLevel(logging.INFO)
    if not options.page:
        with tempfile.TemporaryDirectory() as scratch:
            folder = options.engines or Path(scratch)
            if options.build:
                prepare(folder, options.calibration)
                return 0
            machine = options.machine or this_machine()
            speeds = measure(folder, machine, options.rounds, options.calibration)
        speeds.save()
        write_into_tables(speeds)
    speeds = measured_speeds()
    PICTURE.write_text(chart(speeds), encoding="utf-8")
    write_table(speeds)
    accuracy.main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
