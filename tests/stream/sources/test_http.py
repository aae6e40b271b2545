"""HTTP MJPEG from a real server that is killed, restarted and frozen."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from served import Arrivals, Served, median, outages
from source_reader import Reader, wait_for, wait_until

from pipeline.errors import SourceError
from pipeline.stream.sources import open_source

TESTS = Path(__file__).parents[2] / "support"
SERVER = TESTS / "mjpeg_server.py"
FPS = "25"


@pytest.fixture
def server(port: int) -> Iterator[Served]:
    with Served([sys.executable, str(SERVER), str(port)]) as served:
        yield served


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "path"), [("mjpeg_server.py", "stream"), ("page_server.py", "stream/1.mjpg")]
)
def test_a_server_killed_and_restarted_five_times_is_survived(
    script: str, path: str, port: int
) -> None:
    arrivals = Arrivals()
    with Served([sys.executable, str(TESTS / script), str(port)]) as server:
        server.start("320", "240", FPS)
        with open_source(f"http://127.0.0.1:{port}/{path}") as source:
            reader = Reader(source, arrivals.keep)
            reader.wait_for_frames(20)
            usual = max(arrivals.ages[10:])
            starts = [("320", "240", FPS)] * 5
            starts[2] = ("480", "270", FPS)
            returns = outages(reader, server, starts, lambda: arrivals.ages[-1] < usual + 0.1)
            health = source.health()
    assert reader.error is None
    assert (health.gaps, health.reconnects) == (5, 5)
    assert health.lost_seconds > 0
    assert [frame.index for frame in reader.frames] == list(range(len(reader.frames)))
    assert arrivals.sizes.count((480, 270)) >= 10
    stamps = [time - age for time, age in zip(arrivals.times, arrivals.ages, strict=True)]
    assert stamps == sorted(set(stamps))  # no picture arrives twice
    assert median(returns) < 2


def test_a_server_that_stays_connected_and_sends_nothing_is_lost_and_found(
    server: Served, port: int
) -> None:
    server.start("320", "240", FPS)
    arrivals = Arrivals()
    with open_source(f"http://127.0.0.1:{port}/stream") as source:
        reader = Reader(source, arrivals.keep)
        reader.wait_for_frames(10)
        server.pause(True)
        wait_for(source, "lost")
        server.pause(False)
        wait_for(source, "live")
        wait_until(lambda: arrivals.ages[-1] < 0.5, "a fresh frame")
        reader.wait_for_frames(10)
        assert source.health().gaps == source.health().reconnects == 1


def test_a_source_that_nobody_closed_does_not_spoil_the_exit_status(
    server: Served, port: int
) -> None:
    server.start("320", "240", "200")
    program = (
        "import sys; from pipeline.stream.sources import open_source\n"
        f"source = open_source('http://127.0.0.1:{port}/stream'); source.read(); sys.exit(3)"
    )
    root = TESTS.parent
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (3, b"")


def test_a_camera_that_nobody_serves_is_refused_at_once(port: int) -> None:
    with pytest.raises(SourceError, match=r"gives no video within 1000 ms; check the address"):
        open_source(f"http://127.0.0.1:{port}/stream")
