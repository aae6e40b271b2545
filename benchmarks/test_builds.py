"""How long it takes to build an engine, and, with ``--slow``, to calibrate one."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from pipeline.build.build import build
from pipeline.build.options import BuildOptions
from pipeline.engine.manifest import Engine


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_build(
    benchmark: BenchmarkFixture, network: str, slow: bool, precision: str, tmp_path: Path
) -> None:
    """From registered weights and their calibration table."""
    if precision == "int8" and not slow:
        pytest.skip("half a minute: --slow")
    options = BuildOptions(network, precision=precision, output=tmp_path)

    def once() -> Engine:
        return build(options, lambda what, share: None)

    engine = benchmark.pedantic(once, rounds=1)
    benchmark.extra_info["bytes"] = sum(file.bytes for file in engine.manifest.files)


def test_calibration(
    benchmark: BenchmarkFixture, network: str, slow: bool, road_data: Path, tmp_path: Path
) -> None:
    """From CamVid's training frames, without the registered table."""
    if not slow:
        pytest.skip("two minutes: --slow")
    options = BuildOptions(
        network,
        precision="int8",
        calibration=road_data / "camvid" / "train",
        output=tmp_path,
    )
    benchmark.pedantic(build, args=(options, lambda what, share: None), rounds=1)
