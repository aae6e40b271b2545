"""Sinks cannot hurt each other: slow ones, failing ones, stalled ones; and the status."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from stream_doubles import Collect, Marks, Numbers, stage_threads

from pipeline.errors import SinkError
from pipeline.stream import StreamOptions, run
from pipeline.stream.frame import Result
from pipeline.stream.sinks import open_sinks
from pipeline.stream.status import StreamStatus

STALLED = StreamOptions(stalled=0.2)


@pytest.fixture(autouse=True)
def _no_threads_left() -> Iterator[None]:
    yield
    deadline = time.monotonic() + 5
    while stage_threads() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert stage_threads() == []


class Full(Collect):
    """A disk that is full from the third frame on."""

    def _write(self, result: Result) -> None:
        if self.written == 2:
            raise OSError(28, "No space left on device")
        super()._write(result)


class Broken(Collect):
    """A bug of our own."""

    def _write(self, result: Result) -> None:
        raise ZeroDivisionError("a mistake")


class BreaksAtTheEnd(Collect):
    def _finish(self) -> None:
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (lambda: Collect(fail_at=3), "the sink broke"),
        (Full, "No space left on device"),
        (Broken, "ZeroDivisionError: a mistake"),
        (BreaksAtTheEnd, "No space left on device"),
        (lambda: Collect(hang_at=3), "took nothing for 0.2 s"),
    ],
)
def test_a_file_gives_exactly_its_masks_whatever_becomes_of_another_sink(
    bad: Callable[[], Collect], message: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    [masks], sink, fast = open_sinks([f"masks-index:{tmp_path}"]), bad(), Collect()
    report = run(Marks(), Numbers(40), [sink, masks, fast], STALLED)
    sink.released.set()
    names = [f"{index:06d}.png" for index in range(40)]
    listed = (tmp_path / "manifest.csv").read_text().splitlines()[1:]
    assert [line.split(",")[0] for line in listed] == names
    assert sorted(path.name for path in tmp_path.glob("*.png")) == names
    assert fast.indices == list(range(40))
    [problem] = report.problems
    assert message in problem
    assert caplog.text.count(message) >= 1
    assert (report.frames, report.dropped, report.read) == (40, 0, 40)
    assert all(one.frames + one.dropped == 40 for one in report.sinks)


def test_a_failed_sink_of_a_camera_is_said_once_and_the_rest_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bad, good = Collect(fail_at=5), Collect()
    report = run(Marks(), Numbers(200, live=True, interval=0.001), [bad, good])
    assert report.problems == ("the sink broke",)
    assert [record.getMessage() for record in caplog.records] == ["the sink broke"]
    assert bad.closed_in == "roadseg-collect-1"
    assert good.indices[-1] == 199
    assert report.frames + report.dropped == report.read == 200


def test_the_last_sink_to_fail_ends_the_stream_with_its_error() -> None:
    source = Numbers()
    with pytest.raises(SinkError, match="the sink broke"):
        run(Marks(), source, [Full(), Collect(fail_at=60)])
    assert source.closed_by == "roadseg-capture"


def test_a_stalled_sink_does_not_keep_a_stream_from_its_end() -> None:
    stuck, good = Collect(hang_at=2), Collect()
    report = run(Marks(), Numbers(100, live=True, interval=0.001), [stuck, good], STALLED)
    stuck.released.set()
    assert "was given up" in report.problems[0]
    assert report.read == report.frames + report.dropped == 100


def test_a_sink_that_only_shows_does_not_slow_a_file() -> None:
    class Shows(Collect):
        may_drop = True

    keeps, shows = Collect(), Shows(seconds=0.02)
    report = run(Marks(), Numbers(100), [keeps, shows])
    assert keeps.indices == list(range(100))
    assert report.sinks[1].dropped > 0
    assert shows.indices[-1] == 99
    alone = Shows(seconds=0.001)
    assert run(Marks(), Numbers(30), [alone]).frames == 30, "nobody else keeps what it drops"


def test_a_sink_that_is_closed_by_its_user_ends_the_stream() -> None:
    class Window(Collect):
        def _write(self, result: Result) -> None:
            super()._write(result)
            if self.written == 6:
                self.end_stream()

    window, other = Window(), Collect()
    report = run(Marks(), Numbers(interval=0.001), [window, other])
    assert report.stopped
    assert report.problems == ()
    assert window.finished
    assert other.indices == list(range(report.read))


def test_a_sink_learns_what_the_stream_is_doing_from_any_thread() -> None:
    taken: list[StreamStatus] = []
    done = threading.Event()

    class Asks(Collect):
        def attach(self, status: Callable[[], StreamStatus]) -> None:
            super().attach(status)
            self.asking = threading.Thread(target=self._ask)
            self.asking.start()

        def _ask(self) -> None:
            while not done.wait(0.002):
                assert self.status is not None
                taken.append(self.status())

        def _finish(self) -> None:
            done.set()
            self.asking.join()

    asks, slow = Asks(), Collect(seconds=0.01, fail_at=20)
    report = run(Marks(), Numbers(300, live=True, interval=0.001), [asks, slow])
    assert asks.status is not None
    last = asks.status()
    assert (last.source, last.live, last.health.state) == ("numbers", True, "ended")
    for before, after in pairwise(taken):
        assert before.read <= after.read
        assert before.shown <= after.shown
    assert all(one.shown + one.dropped <= one.read for one in taken)
    assert (last.read, last.shown, last.dropped) == (300, report.frames, report.dropped)
    assert last.fps is not None
    assert 0 < last.frame_age_ms["p50"] <= last.frame_age_ms["p99"]  # type: ignore[operator]
    assert {"capture", "infer", "collect-1"} <= set(last.stages_ms)
    assert [one.name for one in last.sinks] == ["collect-1", "collect-2"]
    assert last.sinks[1].failed == "the sink broke"
    assert last.sinks[1].dropped > 0
    assert last.sinks[0].failed is None
