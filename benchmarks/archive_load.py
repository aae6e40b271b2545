"""Two figures of ``archive``: its memory over many segments, and the speedup by a second worker.

Run in the environment of scripts/check_scale.sh, on an idle machine:

    .venv-scale/bin/python benchmarks/archive_load.py memory --segments 10000
    .venv-scale/bin/python benchmarks/archive_load.py workers ENGINE VIDEO

``memory`` uses the null session and segments of one frame; it prints the peak resident size of the
driver and of all its processes in each tenth of the job. ``workers`` runs one worker, then two, and
prints frames a second between the first and the last commit (without the start of Ray), and their
ratio.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from gop_videos import write_gops  # noqa: E402
from processes import descendants  # noqa: E402
from tiny_openvino import CLASSES, write_engine  # noqa: E402

from pipeline.engine.manifest import load_engine  # noqa: E402
from pipeline.stream.archive.collector import Collector  # noqa: E402
from pipeline.stream.archive.job import ArchiveOptions, archive  # noqa: E402
from pipeline.stream.archive.places import expand  # noqa: E402
from pipeline.stream.archive.worker import Work  # noqa: E402

log = logging.getLogger("archive_load")

_commits: list[tuple[float, int]] = []


def _watch_commits() -> None:
    """Record when segments are committed, and the number of frames so far."""
    original = Collector._commit

    def commit(self: Collector, *given: object) -> None:
        original(self, *given)
        _commits.append((time.monotonic(), self.frames))

    Collector._commit = commit


def resident(process: int) -> int:
    """Return the resident bytes of a process without shared memory; 0 if it ended."""
    try:
        fields = Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()
    except OSError:
        return 0
    return (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGE_SIZE")


def memory(segments: int) -> None:
    """Print memory over the job."""
    samples: list[tuple[int, int, int]] = []
    ended = threading.Event()

    def sample() -> None:
        while not ended.wait(0.5):
            done = len(_commits)
            own = resident(os.getpid())
            samples.append((done, own, own + sum(map(resident, descendants(os.getpid())))))

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_gops(folder / "a.mp4", segments, parameters="keyint=1", size=(64, 48))
        manifest = write_engine(folder / "engine").manifest
        thread = threading.Thread(target=sample, daemon=True)
        thread.start()
        report = archive(
            expand([str(folder / "a.mp4")]),
            manifest,
            Work(None, CLASSES, least=1),
            ArchiveOptions(folder / "out", workers=2),
        )
        ended.set()
        thread.join()
    log.info(f"{report.segments} segments, {report.frames} frames in {report.seconds:.0f} s")
    for tenth in range(10):
        low, high = segments * tenth // 10, segments * (tenth + 1) // 10
        part = [one for one in samples if low < one[0] <= high]
        if part:
            own, everything = (max(one[place] for one in part) >> 20 for place in (1, 2))
            log.info(f"up to {high} segments: driver {own} MB, all processes {everything} MB")


def workers(engine: Path, video: str) -> None:
    """Print the speed of one worker and of two."""
    loaded = load_engine(engine)
    work = Work(loaded.path.resolve(), loaded.manifest.classes, least=32)
    rates = []
    for count in (1, 2):
        _commits.clear()
        with tempfile.TemporaryDirectory() as name:
            options = ArchiveOptions(Path(name) / "out", workers=count)
            archive(expand([video]), loaded.manifest, work, options)
        (began, first), (ended, last) = _commits[0], _commits[-1]
        rates.append((last - first) / (ended - began))
        log.info(f"{count} workers: {rates[-1]:.2f} frames a second")
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    log.info(f"ratio {rates[1] / rates[0]:.2f}; load of the machine {load}")


def main() -> None:
    """Run the chosen measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("memory")
    one.add_argument("--segments", type=int, default=10_000)
    two = commands.add_parser("workers")
    two.add_argument("engine", type=Path)
    two.add_argument("video")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    _watch_commits()
    if options.command == "memory":
        memory(options.segments)
    else:
        workers(options.engine, options.video)


if __name__ == "__main__":
    main()
