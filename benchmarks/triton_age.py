"""Age of a live video's frames with a local session, and with the same engine on a Triton server.

Run in the environments of scripts/check_scale.sh, on an idle machine:

    .venv-scale/bin/python benchmarks/triton_age.py ENGINE VIDEO

Server and client share the machine. Both ways take turns; each turn plays the video at its own
rate, as if live. ``result age`` is from a frame's capture to its class map, ``frame age`` to its
overlay; the 99th percentiles are compared.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from triton_server import TritonServer  # noqa: E402

log = logging.getLogger("triton_age")

PYTHON = ROOT / ".venv-triton" / "bin" / "python"


def roadseg(*arguments: str) -> dict[str, Any]:
    """Run a command and return its report."""
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", *arguments, "--quiet", "--json"],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
    )
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report


def main() -> None:
    """Measure both ways in turn and print what each turn gave, and the ratio of the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine", type=Path)
    parser.add_argument("video")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--frames", type=int, default=300)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with tempfile.TemporaryDirectory() as name:
        repository = Path(name) / "models"
        form = ["--output", str(repository), "--name", "road", "--backend", "python"]
        roadseg("export-triton", str(options.engine), *form)
        server = TritonServer(PYTHON, repository, Path(name))
        server.start()
        try:
            ways = {"local": str(options.engine), "triton": server.address("road")}
            ages = measure(ways, options.video, options.turns, options.frames)
        finally:
            server.kill()
    for age in ("result_age_ms", "frame_age_ms"):
        medians = {
            way: statistics.median(report[age]["p99"] for report in ages[way]) for way in ages
        }
        ratio = medians["triton"] / medians["local"]
        log.info(f"{age} p99: {medians['local']:.1f} local, {medians['triton']:.1f}: {ratio:.2f}")
    log.info(f"load of the machine {', '.join(f'{one:.1f}' for one in os.getloadavg())}")


def measure(
    ways: dict[str, str], video: str, turns: int, frames: int
) -> dict[str, list[dict[str, Any]]]:
    """Return the reports of each way, of all turns."""
    reports: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
    live = ["--source", video, "--realtime", "--frames", str(frames), "--sink", "none"]
    for turn in range(turns):
        for way, engine in ways.items():
            report = roadseg("run", engine, *live)
            reports[way].append(report)
            figures = ", ".join(
                f"{age} p50 {report[age]['p50']:.1f} p99 {report[age]['p99']:.1f}"
                for age in ("result_age_ms", "frame_age_ms")
            )
            log.info(f"turn {turn + 1}, {way}: {figures}; {report['dropped']} dropped")
    return reports


if __name__ == "__main__":
    main()
