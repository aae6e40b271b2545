"""Speedup of INT8 and BF16: engines of one network in turn on one frame."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

from pytest_benchmark.fixture import BenchmarkFixture

from pipeline.build.build import build
from pipeline.build.options import BuildOptions
from pipeline.engine.manifest import Engine
from pipeline.evaluation.ab_timing import take_turns
from pipeline.runtimes.registry import open_compiler, open_session
from pipeline.runtimes.session import Frames


def test_precisions(benchmark: BenchmarkFixture, engine: Engine, frame: Frames) -> None:
    """``speedup`` over FP32, of medians; INT8 is built from the table of the registered weights."""
    options = BuildOptions(engine.manifest.model, output=engine.folder)
    names = [name for name in ("bf16", "int8") if name in open_compiler("openvino").computed()]
    engines = [engine]
    engines += [build(replace(options, precision=name), lambda what, share: None) for name in names]
    medians: list[list[float]] = []
    with ExitStack() as stack:
        sessions = [stack.enter_context(open_session(one)) for one in engines]

        def one_round() -> None:
            medians.append([latency.p50 for latency in take_turns(sessions, frame, rounds=10)])

        benchmark.pedantic(one_round, rounds=4, warmup_rounds=1)
    fp32, *others = (sorted(times)[len(times) // 2] for times in zip(*medians, strict=True))
    benchmark.extra_info["speedup"] = {
        name: fp32 / time for name, time in zip(names, others, strict=True)
    }
    benchmark.extra_info["fp32_ms"] = fp32
