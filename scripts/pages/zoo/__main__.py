"""Build networks (default: all) at full width and 480x360, and write docs/models.md.

FP32 on OpenVINO and FP16 on TensorRT for RTX; measurements are kept in benchmarks/zoo.json. All
networks take an hour.
"""

from __future__ import annotations

import argparse
import logging
import sys

from models.errors import RoadsegError
from models.registry import MODELS
from models.weights import registered_weights
from scripts.pages.zoo.compare import PAIRS, changed_by_aligned_corners, compare
from scripts.pages.zoo.measure import measure, read_results, write_results
from scripts.pages.zoo.page import PAGE, page

log = logging.getLogger("scripts.pages.zoo")

#: A network with weights whose resizes do not align corners.
_RESIZED = "deeplab_v3plus_lite"


def main() -> int:
    """Measure what was asked for and write ``docs/models.md``."""
    parser = argparse.ArgumentParser(prog="scripts/build_zoo.sh", description=__doc__)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help="default: all")
    parser.add_argument(
        "--missing", action="store_true", help="only networks without a measurement"
    )
    parser.add_argument(
        "--compare", action="store_true", help="also time the pairs of networks on the page"
    )
    parser.add_argument("--page", action="store_true", help="write the page again, measure nothing")
    options = parser.parse_args()
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    log.setLevel(logging.INFO)
    results = read_results()
    names = [] if options.page else options.networks or list(MODELS)
    failed = []
    for name in names:
        if options.missing and name in results["networks"]:
            continue
        log.info("building %s", name)
        try:
            results["networks"][name] = measure(name)
        except RoadsegError as error:
            log.error("error: %s", error)
            failed.append(name)
            continue
        write_results(results)  # after each network, since all take an hour
    if options.compare:
        results["pairs"] = [compare(pair) for pair in PAIRS]
        if registered_weights(_RESIZED):
            changed = changed_by_aligned_corners(_RESIZED)
            results["corners"] = {"network": _RESIZED, "changed": changed}
        write_results(results)
    PAGE.write_text(page(results), encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
