"""Settings of TensorRT's builder, read back from its configuration."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tensorrt_rtx as trt

from pipeline.errors import BuildError, RuntimeMissingError
from pipeline.runtimes.compiler import BuilderSettings, EngineForm, Job
from pipeline.runtimes.registry import COMPILERS, can_build, default_front_end, open_compiler
from pipeline.runtimes.tensorrt.builder_config import serialise
from pipeline.runtimes.tensorrt.classic import TensorRTClassicCompiler
from pipeline.runtimes.tensorrt.compiler import open_front_end
from pipeline.runtimes.tensorrt.network import Filled, collecting_logger


class Remembering:
    """A builder that keeps the configuration it made."""

    def __init__(self, builder: Any) -> None:
        self._builder = builder
        self.config: Any = None

    def create_builder_config(self) -> Any:
        self.config = self._builder.create_builder_config()
        return self.config

    def __getattr__(self, name: str) -> Any:
        return getattr(self._builder, name)


class Small:
    """A network that adds frames to themselves, and everything needed to build it."""

    def __init__(self, folder: Path) -> None:
        self.logger = collecting_logger(trt)
        self.builder = Remembering(trt.Builder(self.logger))
        flags = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        network = self.builder.create_network(flags)
        frames = network.add_input("frames", trt.DataType.UINT8, (-1, -1, -1, 3))
        halves = network.add_cast(frames, trt.DataType.HALF).get_output(0)
        total = network.add_elementwise(halves, halves, trt.ElementWiseOperation.SUM)
        bytes_out = network.add_cast(total.get_output(0), trt.DataType.UINT8).get_output(0)
        bytes_out.name = "classes"
        network.mark_output(bytes_out)
        self.filled = Filled(self.builder, network)
        self.job = Job(folder, "small", "fp16", EngineForm(targets=("sm86", "sm89")), folder)
        self.shares: list[float] = []

    def build(self, precision: str = "fp16", **form: Any) -> memoryview:
        job = replace(self.job, precision=precision, form=replace(self.job.form, **form))
        return serialise(trt, self.filled, job, self.logger, self.progress, ahead_of_time=True)

    def progress(self, what: str, share: float) -> None:
        assert what == "building"
        self.shares.append(share)


@pytest.fixture
def small(tmp_path: Path) -> Small:
    return Small(tmp_path)


def test_targets_and_shapes_are_those_of_the_job(small: Small) -> None:
    sizes = ((64, 48), (640, 480), (1280, 720))
    assert len(small.build(batch=(1, 2, 4), sizes=sizes)) > 100
    config = small.builder.config
    named = [config.get_compute_capability(i) for i in range(config.num_compute_capabilities)]
    assert named == [trt.ComputeCapability.SM86, trt.ComputeCapability.SM89]
    assert config.num_optimization_profiles == 1


def test_progress_grows_to_the_end(small: Small) -> None:
    small.build()
    assert small.shares == sorted(small.shares)
    assert small.shares[0] >= 0.4
    assert 0.8 < small.shares[-1] <= 1.0


@pytest.mark.parametrize(("precision", "rounded"), [("fp32", False), ("fp16", True)])
def test_fp32_is_not_rounded_to_tf32(small: Small, precision: str, rounded: bool) -> None:
    small.build(precision=precision)
    assert small.builder.config.get_flag(trt.BuilderFlag.TF32) == rounded


def test_the_workspace_is_limited_where_it_is_asked(small: Small) -> None:
    small.build(builder=BuilderSettings(workspace=64_000_000))
    limit = small.builder.config.get_memory_pool_limit(trt.MemoryPoolType.WORKSPACE)
    assert limit == 64_000_000


def test_compatibility_is_off_unless_it_is_asked(small: Small) -> None:
    small.build()
    plain = small.builder.config
    assert not plain.get_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    assert plain.hardware_compatibility_level == trt.HardwareCompatibilityLevel.NONE


def test_an_engine_for_later_versions_is_asked_for_and_the_missing_library_named(
    small: Small,
) -> None:
    """TensorRT for RTX 1.7 has the flag, but its wheel lacks the library for the engine."""
    with pytest.raises(BuildError, match=r"libnvinfer_lean.*without --version-compatible"):
        small.build(builder=BuilderSettings(version_compatible=True))
    assert small.builder.config.get_flag(trt.BuilderFlag.VERSION_COMPATIBLE)


def test_a_setting_that_tensorrt_would_forget_is_refused(small: Small) -> None:
    with pytest.raises(BuildError, match="--target instead"):
        small.build(builder=BuilderSettings(hardware_compatible=True))


def test_what_tensorrt_does_not_build_is_one_line(small: Small) -> None:
    sizes = ((1280, 720), (640, 480), (64, 48))  # in the wrong order
    with pytest.raises(BuildError) as raised:
        small.build(sizes=sizes)
    assert "\n" not in str(raised.value)
    assert trt.__version__ in str(raised.value)


class Times:
    """TensorRT's timing cache, as bytes."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def serialize(self) -> bytes:
        return self.content + b"+"


class OnAGpu:
    """The part of a builder configuration that works only with a GPU."""

    def __init__(self, fits: bool = True) -> None:
        self.fits = fits
        self.given: list[bytes] = []

    def create_timing_cache(self, content: bytes) -> Times:
        return Times(content)

    def set_timing_cache(self, times: Times, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        self.given.append(times.content)
        return self.fits or times.content == b""

    def clear_flag(self, flag: object) -> None:
        pass

    def add_optimization_profile(self, profile: object) -> None:
        pass


@pytest.mark.parametrize(("fits", "given"), [(True, [b"old"]), (False, [b"old", b""])])
def test_times_are_kept_between_builds_on_a_gpu(
    small: Small, tmp_path: Path, fits: bool, given: list[bytes]
) -> None:
    path = tmp_path / "times.cache"
    path.write_bytes(b"old")
    config = OnAGpu(fits)
    small.builder.create_builder_config = lambda: config  # type: ignore[method-assign]
    small.builder.build_serialized_network = lambda network, config: b"engine"
    job = replace(small.job, form=EngineForm(builder=BuilderSettings(timing_cache=path)))
    made = serialise(trt, small.filled, job, small.logger, small.progress, ahead_of_time=False)
    assert bytes(made) == b"engine"
    assert config.given == given
    assert path.read_bytes() == given[-1] + b"+"


def test_classic_tensorrt_takes_no_targets() -> None:
    with pytest.raises(BuildError, match="builds for the GPU of this machine"):
        TensorRTClassicCompiler().check_targets(("sm87",), "fp16")


@pytest.mark.skipif(can_build("tensorrt"), reason="classic TensorRT is installed here")
def test_classic_tensorrt_says_what_to_install_and_what_works_without() -> None:
    with pytest.raises(RuntimeMissingError, match=r"docs/jetson\.md.*--bundle"):
        open_compiler("tensorrt").require()


def test_every_compiler_says_where_it_builds() -> None:
    for runtime in COMPILERS:
        machine = open_compiler(runtime).machine()
        assert machine["os"] == "linux"
        assert machine["machine"]


def test_front_ends_are_found_or_refused_in_one_line() -> None:
    assert default_front_end() in {"onnx", "torch-tensorrt"}
    assert callable(open_front_end("onnx"))
    with pytest.raises(RuntimeMissingError, match="takes networks through onnx, torch-tensorrt"):
        open_front_end("caffe")
