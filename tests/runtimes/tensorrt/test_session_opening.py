"""What a session accepts when it is opened, and how it refuses the rest; on the double."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
from device_double import GpuDouble
from random_frames import frames
from rigs import DoubleRig
from session_scenario import rtx_engine, scenario
from tensorrt_double import TensorRTDouble, _Context

from pipeline.engine.manifest import Engine, describe_file
from pipeline.errors import EngineError, RuntimeMissingError
from pipeline.runtimes.registry import missing, open_session
from pipeline.runtimes.tensorrt.platform import Platform, open_platform
from pipeline.runtimes.tensorrt.session import TensorRTSession
from pipeline.stream.overlay import Overlay


@pytest.fixture
def rtx_platform(double: DoubleRig) -> Platform:
    return Platform(double.trt(rtx=True), double.gpu)


def test_what_tensorrt_for_rtx_compiled_is_kept_beside_the_engine(
    engine: Engine, rtx_platform: Platform, tmp_path: Path
) -> None:
    rtx = rtx_engine(engine, tmp_path)
    cache = tmp_path / "double.rtxcache"
    for content in (None, b"of another GPU"):
        if content is not None:
            cache.write_bytes(content)
        scenario(rtx, rtx_platform)
        assert cache.read_bytes().endswith(b"cache of the double")


def test_a_cache_that_is_not_what_was_written_is_not_given_to_tensorrt(
    engine: Engine, rtx_platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rtx = rtx_engine(engine, tmp_path)
    given: list[bytes] = []
    monkeypatch.setattr("tensorrt_double._Cache.deserialize", lambda _, blob: given.append(blob))
    scenario(rtx, rtx_platform)
    kept = (tmp_path / "double.rtxcache").read_bytes()
    scenario(rtx, rtx_platform)
    assert given == [b"cache of the double"]
    (tmp_path / "double.rtxcache").write_bytes(kept[:-1] + b"!")
    scenario(rtx, rtx_platform)
    model = onnx.load(rtx.path)
    model.doc_string = "another engine of this name"
    onnx.save(model, rtx.path)
    other = replace(rtx.manifest, files=(describe_file(rtx.path),))
    (tmp_path / "double.rtxcache").write_bytes(kept)
    scenario(replace(rtx, manifest=other), rtx_platform)
    assert len(given) == 1


@pytest.mark.parametrize("eager", [True, False])
def test_kernels_are_compiled_before_a_run_that_is_measured(
    engine: Engine, gpu: GpuDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, eager: bool
) -> None:
    made: list[Any] = []
    monkeypatch.setattr(
        "tensorrt_double._Loaded.create_execution_context",
        lambda loaded, config=None: made.append(config) or _Context(loaded, config),
    )
    trt = TensorRTDouble(gpu, rtx=True)
    with TensorRTSession(rtx_engine(engine, tmp_path), Platform(trt, gpu), eager=eager):
        strategy = made[0].dynamic_shapes_kernel_specialization_strategy
        assert (strategy == trt.DynamicShapesKernelSpecializationStrategy.EAGER) is eager


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"runtime_version": "10.4.0"}, r"built with TensorRT 10\.4\.0, here is TensorRT 10\.3"),
        ({"targets": ("sm86", "sm120")}, r"built for sm86, sm120, here is the double \(sm89\)"),
        ({"built_on": {"os": "windows"}}, r"built on windows, here is linux"),
        ({"built_on": {"driver": "CUDA 13.2"}}, r"driver for CUDA 13\.2, .* CUDA 13\.0: update"),
    ],
    ids=["version", "GPU", "system", "driver"],
)
def test_an_engine_of_another_machine_says_what_differs_and_what_to_do(
    engine: Engine, gpu: GpuDouble, change: dict[str, object], words: str
) -> None:
    other = replace(engine, manifest=replace(engine.manifest, **change))
    with pytest.raises(EngineError, match=f"{words}.*--rebuild") as caught:
        TensorRTSession(other, Platform(TensorRTDouble(gpu), gpu))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"runtime_version": "10.1.0", "settings": {"version_compatible": True}},
        {"targets": ("sm80",), "settings": {"hardware_compatible": True}},
        {"targets": ()},
    ],
    ids=["newer version", "newer GPU", "unknown GPU"],
)
def test_what_was_built_to_be_compatible_runs(
    engine: Engine, gpu: GpuDouble, change: dict[str, object]
) -> None:
    other = replace(engine, manifest=replace(engine.manifest, **change))
    with TensorRTSession(other, Platform(TensorRTDouble(gpu), gpu)) as session:
        session.run(frames())


def test_ends_that_are_not_the_manifests_are_refused(engine: Engine, gpu: GpuDouble) -> None:
    wrong = replace(engine.manifest, input=replace(engine.manifest.input, width=128))
    with pytest.raises(EngineError, match=r"manifest says .* \(N, 90, 128\) out"):
        TensorRTSession(replace(engine, manifest=wrong), Platform(TensorRTDouble(gpu), gpu))
    assert not gpu.ledger.held


def test_without_a_painter_the_processor_paints(
    engine: Engine,
    gpu: GpuDouble,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def none(architecture: str) -> bytes:
        raise RuntimeMissingError("there is no NVRTC")

    monkeypatch.setattr("pipeline.runtimes.tensorrt.cuda.painting.overlay_image", none)
    with TensorRTSession(engine, Platform(TensorRTDouble(gpu), gpu)) as session:
        assert not session.capabilities.paints
        tint = Overlay(engine.manifest.classes).tint
        assert session.submit(frames(), tint).result().pictures is None
    assert "there is no NVRTC" in caplog.text


def test_a_machine_without_a_gpu_says_so(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("pipeline.runtimes.registry", "pipeline.runtimes.tensorrt.platform"):
        monkeypatch.setattr(f"{module}.why_no_gpu", lambda: "no driver here")
    assert missing("tensorrt") == "no driver here"
    with pytest.raises(RuntimeMissingError, match=r"no driver here.*--runtime openvino"):
        open_session(engine)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("pipeline.runtimes.registry", "pipeline.runtimes.tensorrt.platform"):
        monkeypatch.setattr(f"{module}.why_no_gpu", lambda: None)
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(RuntimeMissingError, match="need TensorRT and pycuda"):
        open_platform("tensorrt")


def test_a_package_that_does_not_load_is_told_before_anything_is_built(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The package is installed, so ``find_spec`` would find it."""
    monkeypatch.setattr("pipeline.runtimes.registry.why_no_gpu", lambda: None)

    def broken(name: str) -> None:
        if name.endswith("cuda.driver"):
            raise ImportError("libcuda.so.1: version `cu_13' not found")

    monkeypatch.setattr("pipeline.runtimes.registry.import_module", broken)
    assert missing("tensorrt-rtx") == (
        "the package pycuda cannot be imported (libcuda.so.1: version `cu_13' not found)"
    )


def test_the_session_is_imported_without_torch_and_without_a_gpu() -> None:
    code = (
        "import pipeline.runtimes.tensorrt.session, sys; "
        "assert not {'torch', 'onnx', 'pycuda', 'tensorrt'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
