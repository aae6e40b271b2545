"""Our engines and other tools on one frame, alternating in one run.

``ratio`` is the time of the other tool over that of our INT8 engine, the median over turns. The
milliseconds depend on the load of the machine.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.competitors import compiled, eager, in_onnx_runtime, in_openvino, plain_export
from calibration.scenes.synthetic import SyntheticDrive
from pipeline.build.build import build
from pipeline.build.options import BuildOptions
from pipeline.runtimes.registry import open_session

TURNS = 8
OURS = "roadseg int8"


@pytest.mark.filterwarnings("ignore")  # the exporters' own
def test_others(benchmark: BenchmarkFixture, network: str, slow: bool, tmp_path: Path) -> None:
    """480x360 byte frames to class maps."""
    image = SyntheticDrive(480, 360).frame(0)[0]
    with ExitStack() as stack:
        ways: dict[str, Callable[[], np.ndarray]] = {}
        for precision in ("int8", "fp32"):
            options = BuildOptions(network, precision=precision, output=tmp_path)
            session = stack.enter_context(open_session(build(options, lambda what, share: None)))
            ways[f"roadseg {precision}"] = lambda one=session: one.run(image[None])[0]
        path, spec = plain_export(network, tmp_path)
        others = {
            "eager with max_unpool2d": eager(network),
            "onnx runtime fp32": in_onnx_runtime(path, spec),
            "openvino, plain export, as it comes": in_openvino(path, spec),
            "openvino, plain export, fp32": in_openvino(path, spec, INFERENCE_PRECISION_HINT="f32"),
        }
        if slow:
            others["torch.compile"] = compiled(network)
        ways.update({name: lambda one=way: one(image) for name, way in others.items()})
        maps = {name: way() for name, way in ways.items()}  # also warms up, and compiles
        times: dict[str, list[float]] = {name: [] for name in ways}

        def one_turn() -> None:
            for name, way in ways.items():
                start = time.perf_counter()
                way()
                times[name].append(time.perf_counter() - start)

        benchmark.pedantic(one_turn, rounds=TURNS, warmup_rounds=1)
    ratios = {
        name: statistics.median(a / b for a, b in zip(taken, times[OURS], strict=True))
        for name, taken in times.items()
    }
    benchmark.extra_info["ratio"] = ratios
    benchmark.extra_info["ms"] = {n: statistics.median(t) * 1e3 for n, t in times.items()}
    # All must run the same network, or the comparison means nothing.
    for name, classes in maps.items():
        assert np.mean(classes == maps["roadseg fp32"]) > 0.95, name
