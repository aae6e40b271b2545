"""Frames per second of the small networks: the engine alone, and from a file to an overlay video.

    .venv/bin/pytest benchmarks --benchmark-json=benchmarks.json

On a shared machine look at ``share_of_engine``, the ratio of two medians measured alternately in
one run, not at the milliseconds.
"""

from __future__ import annotations

import statistics
import time
from contextlib import ExitStack
from pathlib import Path

from pytest_benchmark.fixture import BenchmarkFixture

from pipeline.engine.manifest import Engine
from pipeline.runtimes.registry import open_session
from pipeline.runtimes.session import Frames, Session
from pipeline.stream import StreamOptions, run
from pipeline.stream.sinks import SinkOptions, open_sinks
from pipeline.stream.sources import open_source


def test_engine(benchmark: BenchmarkFixture, session: Session, frame: Frames) -> None:
    """One 960x540 frame in, one class map out."""
    benchmark.pedantic(session.run, args=(frame,), rounds=40, warmup_rounds=5)
    benchmark.extra_info["fps"] = 1 / benchmark.stats.stats.median
    benchmark.extra_info["precision"] = session.capabilities.precision


def test_end_to_end(
    benchmark: BenchmarkFixture,
    engine: Engine,
    session: Session,
    frame: Frames,
    clip: Path,
    tmp_path: Path,
) -> None:
    """Decode, segment, draw, encode; the engine alone is measured between the rounds."""
    end_to_end: list[float] = []
    alone: list[float] = []
    stages: dict[str, float | None] = {}

    def segment_clip() -> None:
        source = open_source(str(clip))
        options = SinkOptions(engine.manifest.classes, source.name, source.fps)
        sinks = open_sinks([str(tmp_path / "out.mp4")], options)
        report = run(session, source, sinks, StreamOptions(engine.manifest.classes))
        assert report.frames == report.promised
        end_to_end.append(report.fps or 0.0)
        stages.update({name: times["p50"] for name, times in report.stages_ms.items()})

    def engine_alone() -> None:
        for _ in range(15):
            start = time.perf_counter()
            session.run(frame)
            alone.append(time.perf_counter() - start)

    benchmark.pedantic(segment_clip, setup=engine_alone, rounds=5, warmup_rounds=1)
    fps = statistics.median(end_to_end)
    benchmark.extra_info["fps"] = fps
    benchmark.extra_info["share_of_engine"] = fps * statistics.median(alone)
    benchmark.extra_info["stages_ms"] = stages


def test_threads(benchmark: BenchmarkFixture, engine: Engine, clip: Path, tmp_path: Path) -> None:
    """From a file to a video by inference threads and hint, in turns: the reason for the default.

    ``fps_ratio`` is over the default, which leaves the number of threads to OpenVINO.
    """
    ways = {"default": ("latency", 0), "1 thread": ("latency", 1), "throughput": ("throughput", 0)}
    fps: dict[str, list[float]] = {name: [] for name in ways}
    classes = engine.manifest.classes
    with ExitStack() as stack:
        sessions = {
            name: stack.enter_context(open_session(engine, hint, threads=threads))
            for name, (hint, threads) in ways.items()
        }

        def one_turn() -> None:
            for name, session in sessions.items():
                source = open_source(str(clip))
                sink_options = SinkOptions(classes, source.name, source.fps, force=True)
                sinks = open_sinks([str(tmp_path / "out.mp4")], sink_options)
                fps[name].append(run(session, source, sinks, StreamOptions(classes)).fps or 0.0)

        benchmark.pedantic(one_turn, rounds=5, warmup_rounds=1)
    benchmark.extra_info["fps_ratio"] = {
        name: statistics.median(a / b for a, b in zip(taken, fps["default"], strict=True))
        for name, taken in fps.items()
    }
