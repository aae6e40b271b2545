"""Effects of slow engines, many cameras and long runs on frame ages, fairness and memory.

Sessions do no work here, so that the stream is measured. Ages, fairness and rates are in
``extra_info`` beside their limits, since they depend on the machine; drops, memory, threads and
files, which do not, are asserted.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from pipeline.runtimes.null import NullSession
from pipeline.runtimes.session import ClassMaps, Frames
from pipeline.stream import StreamInput, StreamOptions, StreamReport, run, run_inputs
from pipeline.stream.frame import Frame, Result
from pipeline.stream.sinks.none import NoneSink
from pipeline.stream.sources import open_source
from pipeline.stream.sources.base import Source

LONG_RUN = 100_000


class Load(NullSession):
    """Takes ``seconds`` per frame without using the processor, like an engine on a GPU."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds
        self.input_spec = replace(self.input_spec, shape=(1, *self.input_spec.shape[1:]))

    def _run(self, frames: Frames) -> ClassMaps:
        time.sleep(self._seconds)
        return super()._run(frames)


class Camera(Source):
    """Repeats one picture of the synthetic drive, at a steady rate or as fast as possible."""

    def __init__(self, size: str, count: int | None = None, fps: float | None = None) -> None:
        super().__init__("camera")
        self.live = fps is not None
        self.fps = fps
        with open_source(f"synthetic:{size}") as drive:
            frame = drive.read()
        assert frame is not None
        self._frame = frame
        self._count = count
        self._index = 0
        self._started = 0.0

    def _read(self) -> Frame | None:
        index = self._index
        if index == self._count:
            return None
        now = time.monotonic()
        self._started = self._started or now
        if self.fps is not None and (early := self._started + index / self.fps - now) > 0:
            time.sleep(early)
        self._index += 1
        return replace(self._frame, index=index, captured=time.monotonic(), name=f"{index:06d}")


class Shows(NoneSink):
    """Lets every frame be drawn, and keeps none."""

    wants_overlay = True


class Weighs(NoneSink):
    """Records memory, threads and files of the process at the given frames."""

    def __init__(self, *at: int) -> None:
        super().__init__()
        self._at = list(at)
        self.notes: list[tuple[int, int, int]] = []

    def _write(self, result: Result) -> None:
        if self._at and result.frame.index >= self._at[0]:
            self._at.pop(0)
            resident = int(Path("/proc/self/statm").read_text().split()[1]) * 4096
            files = len(list(Path("/proc/self/fd").iterdir()))
            self.notes.append((resident, threading.active_count(), files))


@pytest.mark.parametrize(
    ("fps", "seconds", "frames", "allowed"),
    [(30, 0.050, 2000, 1.5), (25, 0.125, 1500, 1.1)],
    ids=["30 fps into 20", "25 fps into 8"],
)
def test_ages_of_a_camera_that_is_faster_than_the_engine(
    benchmark: BenchmarkFixture, fps: int, seconds: float, frames: int, allowed: float
) -> None:
    """99th percentiles as shares of inference + frame interval; drops are exact."""
    reports: list[StreamReport] = []

    def stream() -> None:
        reports.append(run(Load(seconds), Camera("640x360", frames, fps), [Shows()]))

    benchmark.pedantic(stream, rounds=1, iterations=1)
    [report] = reports
    budget_ms = (seconds + 1 / fps) * 1e3
    result_age = (report.result_age_ms["p99"] or 0) / budget_ms
    frame_age = (report.frame_age_ms["p99"] or 0) / budget_ms
    benchmark.extra_info.update(
        result_age=result_age,
        result_age_allowed=allowed,
        frame_age=frame_age,
        frame_age_allowed=1.5,
    )
    benchmark.extra_info.update(shown=report.frames, dropped=report.dropped)
    assert report.read == report.frames + report.dropped == frames


@pytest.mark.parametrize("fps", [None, 30], ids=["files", "cameras"])
def test_four_sources_share_one_engine(benchmark: BenchmarkFixture, fps: float | None) -> None:
    """Shares of the slowest and the fastest source, and the rate of four over that of one."""
    stop = threading.Event()
    reports: list[StreamReport] = []

    def stream() -> None:
        for count in (1, 4):
            stop.clear()
            inputs = [StreamInput(Camera("320x180", fps=fps), [NoneSink()]) for _ in range(count)]
            timer = threading.Timer(10, stop.set)
            timer.start()
            reports.append(run_inputs(Load(0.010), inputs, StreamOptions(stop=stop)))
            timer.join()

    benchmark.pedantic(stream, rounds=1, iterations=1)
    one, four = reports
    shown = [source.frames for source in four.sources]
    unfair = (max(shown) - min(shown)) / max(shown)
    gain = (four.fps or 0) / (one.fps or 1)
    benchmark.extra_info.update(unfair=unfair, unfair_allowed=0.05, gain=gain, gain_asked=1.0)
    assert min(shown) > 0


@pytest.mark.parametrize("fps", [None, 5000], ids=["file", "camera"])
def test_a_long_run_keeps_its_memory(benchmark: BenchmarkFixture, fps: float | None) -> None:
    """Bytes that 100,000 frames add, after the first tenth of them."""
    sink = Weighs(LONG_RUN // 10, LONG_RUN * 99 // 100)
    reports: list[StreamReport] = []

    def stream() -> None:
        source = Camera("64x64", LONG_RUN, fps)
        reports.append(run(NullSession(64, 64), source, [sink, Shows()]))

    benchmark.pedantic(stream, rounds=1, iterations=1)
    (before, threads, files), (after, *same) = sink.notes
    benchmark.extra_info.update(grown=after - before, dropped=reports[0].dropped)
    assert after - before < 10e6
    assert same == [threads, files]
