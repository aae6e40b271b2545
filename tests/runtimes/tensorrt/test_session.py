"""The TensorRT session over a double of the GPU that runs the same ONNX on the processor."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from device_double import GpuDouble, TensorRTDouble, _Context
from host_kernel import HostKernel
from random_frames import frames
from torch import nn

from pipeline.engine.manifest import Engine, describe_file
from pipeline.errors import EngineError, RuntimeMissingError
from pipeline.graph.deployment import DeploymentGraph
from pipeline.runtimes.eager import EagerSession
from pipeline.runtimes.onnx_export import export_onnx
from pipeline.runtimes.registry import missing, open_session
from pipeline.runtimes.tensorrt.buffer_set import BufferSet
from pipeline.runtimes.tensorrt.session import Platform, TensorRTSession, open_platform
from pipeline.stream.overlay import Overlay


@pytest.fixture(scope="module")
def reference(small_engine: Engine) -> EagerSession:
    # What the network computes is other tests' subject; a small one keeps hundreds of runs short.
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 11, 3, padding=1)
    )
    return EagerSession(DeploymentGraph(network, small_engine.manifest.input))


@pytest.fixture(scope="module")
def engine(
    reference: EagerSession, small_engine: Engine, tmp_path_factory: pytest.TempPathFactory
) -> Engine:
    folder = tmp_path_factory.mktemp("double")
    export_onnx(reference._graph, folder / "double.engine")
    manifest = replace(
        small_engine.manifest,
        runtime="tensorrt",
        runtime_version="10.3.0",
        targets=("sm89", "sm87"),
        files=(describe_file(folder / "double.engine"),),
        frames=replace(small_engine.manifest.frames, batch=4, batch_range=(2, 3, 4)),
        settings={},
    )
    return Engine(manifest, folder)


@pytest.fixture
def gpu(host_kernel: HostKernel) -> GpuDouble:
    return GpuDouble(host_kernel)


@pytest.fixture
def session(engine: Engine, gpu: GpuDouble) -> Iterator[TensorRTSession]:
    with TensorRTSession(engine, Platform(TensorRTDouble(gpu), gpu)) as opened:
        yield opened
    assert not gpu.ledger.held


@pytest.mark.parametrize("count", [1, 2, 4, 11])
def test_class_maps_are_those_of_pytorch(
    session: TensorRTSession, reference: EagerSession, count: int
) -> None:
    batch = frames(count)
    found = session.run(batch)
    assert found.shape == (count, 90, 120)
    assert np.mean(found == reference.run(batch)) > 0.998


def test_frames_may_change_their_size(session: TensorRTSession, reference: EagerSession) -> None:
    for size in ((90, 120), (240, 321), (64, 64), (240, 320)):
        batch = frames(2, size)
        assert np.mean(session.run(batch) == reference.run(batch)) > 0.998


def test_two_runs_under_way_do_not_disturb_each_other(
    session: TensorRTSession, reference: EagerSession
) -> None:
    batches = [frames(2, seed=seed) for seed in range(6)]
    expected = [reference.run(batch) for batch in batches]
    found, pending = [], []
    for batch in batches:
        if len(pending) == session.capabilities.in_flight:
            found.append(pending.pop(0).result().classes)
        taken = batch.copy()
        pending.append(session.submit(taken))
        taken[:] = 0  # the caller may use its frames again at once
    found += [run.result().classes for run in pending]
    for maps, right in zip(found, expected, strict=True):
        assert np.mean(maps == right) > 0.998


def test_results_belong_to_the_caller(session: TensorRTSession) -> None:
    first = session.run(frames(seed=1))
    kept = first.copy()
    for seed in range(3):
        session.run(frames(seed=seed))
    assert np.array_equal(first, kept)


def test_the_next_run_is_copied_in_before_the_first_is_done(
    session: TensorRTSession, gpu: GpuDouble
) -> None:
    begin = len(gpu.ledger.calls)
    first, second = session.submit(frames()), session.submit(frames())
    assert "event.synchronize" not in gpu.ledger.calls[begin:]
    assert gpu.ledger.calls[begin:].count("execute_async_v3") == 2
    first.result()
    second.result()


def test_pictures_are_those_of_the_processor(
    session: TensorRTSession, small_engine: Engine
) -> None:
    overlay = Overlay(small_engine.manifest.classes)
    assert session.capabilities.paints
    batch = frames(2, (240, 320))
    segmented = session.submit(batch, overlay.tint).result()
    assert segmented.pictures is not None
    shares = np.zeros(len(small_engine.manifest.classes))
    for frame, classes, picture in zip(batch, segmented.classes, segmented.pictures, strict=True):
        expected = overlay.draw(frame, classes, shares, "status")
        found = overlay.finish(picture, shares, "status")
        assert np.abs(found.astype(int) - expected).max() <= 1


def test_no_picture_is_made_unless_it_is_asked_for(session: TensorRTSession) -> None:
    assert session.submit(frames()).result().pictures is None


def test_times_of_the_device_are_told(session: TensorRTSession, small_engine: Engine) -> None:
    plain = session.submit(frames()).result()
    assert list(plain.device_ms) == ["copy in", "execute", "copy out"]
    tint = Overlay(small_engine.manifest.classes).tint
    assert "paint" in session.submit(frames(), tint).result().device_ms


def test_a_third_run_and_a_result_out_of_turn_are_refused(session: TensorRTSession) -> None:
    first, second = session.submit(frames()), session.submit(frames())
    with pytest.raises(ValueError, match="2 runs are under way"):
        session.submit(frames())
    with pytest.raises(ValueError, match="in the order"):
        second.result()
    first.result()
    second.result()
    with pytest.raises(ValueError, match="once"):
        second.result()


@pytest.mark.parametrize(
    ("count", "size"), [(1, (32, 120)), (1, (90, 4000)), (5, (90, 120))], ids=str
)
def test_frames_that_the_engine_does_not_take_leave_the_session_whole(
    session: TensorRTSession, count: int, size: tuple[int, int]
) -> None:
    with pytest.raises(EngineError, match=r"takes up to 4 of"):
        session.submit(frames(count, size))
    session.run(frames())


def test_another_thread_may_run_and_close_it(session: TensorRTSession) -> None:
    expected, found = session.run(frames()), []

    def work() -> None:
        found.append(session.run(frames()))
        session.close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    assert np.array_equal(found[0], expected)


def test_many_sessions_share_one_gpu(engine: Engine, gpu: GpuDouble) -> None:
    platform = Platform(TensorRTDouble(gpu), gpu)
    with TensorRTSession(engine, platform) as one, TensorRTSession(engine, platform) as other:
        first, second = one.submit(frames(seed=1)), other.submit(frames(seed=2))
        both = second.result().classes, first.result().classes
        assert np.array_equal(both[0], one.run(frames(seed=2)))
        assert np.array_equal(both[1], other.run(frames(seed=1)))
    assert not gpu.ledger.held


@pytest.mark.parametrize("mapped_ms", [0.5, 1.0, 2.0])
def test_shared_memory_is_read_in_place_where_that_is_faster_and_only_there(
    engine: Engine,
    host_kernel: HostKernel,
    reference: EagerSession,
    monkeypatch: pytest.MonkeyPatch,
    mapped_ms: float,
) -> None:
    """A Jetson's GPU does not cache what it reads in place."""
    small = replace(engine.manifest.frames, sizes=((64, 64), (120, 90), (640, 480)))
    engine = replace(engine, manifest=replace(engine.manifest, frames=small))

    def times(buffers: BufferSet) -> dict[str, float]:
        return {"execute": mapped_ms if buffers.frames.mapped else 1.0}

    monkeypatch.setattr(BufferSet, "times", times)
    jetson = GpuDouble(host_kernel, shares_memory=True)
    tint = Overlay(engine.manifest.classes).tint
    with TensorRTSession(engine, Platform(TensorRTDouble(jetson), jetson)) as session:
        begin = len(jetson.ledger.calls)
        assert np.mean(session.run(frames(3)) == reference.run(frames(3))) > 0.998
        in_place = mapped_ms < 1.0
        assert ("copy_in" not in jetson.ledger.calls[begin:]) is in_place
        assert ("copy_out" not in jetson.ledger.calls[begin:]) is in_place
        session.submit(frames(), tint).result()
        assert "copy_out" in jetson.ledger.calls[begin:]  # pictures are written byte by byte
    assert not jetson.ledger.held


def test_cameras_of_several_sizes_share_the_painter_s_tables(
    session: TensorRTSession, gpu: GpuDouble, small_engine: Engine
) -> None:
    tint = Overlay(small_engine.manifest.classes).tint
    sizes = ((240, 320), (120, 160))
    for size in sizes * 2:  # both sets of buffers grow to the larger one
        session.submit(frames(1, size), tint).result()
    begin = len(gpu.ledger.calls)
    for size in sizes * 3:
        session.submit(frames(1, size), tint).result()
    assert {"device_memory", "host_memory", "free"}.isdisjoint(gpu.ledger.calls[begin:])


def test_closing_with_runs_under_way_gives_everything_back(engine: Engine, gpu: GpuDouble) -> None:
    session = TensorRTSession(engine, Platform(TensorRTDouble(gpu), gpu))
    pending = session.submit(frames())
    session.submit(frames())
    session.close()
    session.close()
    assert not gpu.ledger.held
    with pytest.raises(EngineError, match="closed"):
        pending.result()
    with pytest.raises(EngineError, match="closed"):
        session.run(frames())


def scenario(engine: Engine, gpu: GpuDouble, rtx: bool) -> None:
    """Everything that a session does, once."""
    tint = Overlay(engine.manifest.classes).tint
    with TensorRTSession(engine, Platform(TensorRTDouble(gpu, rtx), gpu)) as session:
        first = session.submit(frames(), tint)
        second = session.submit(frames(1, (120, 160)))
        first.result()
        second.result()
        session.run(frames(5))


def _rtx(engine: Engine, folder: Path) -> Engine:
    """Return the engine as one of TensorRT for RTX, in a folder of its own."""
    folder.joinpath("double.engine").write_bytes(engine.path.read_bytes())
    manifest = replace(engine.manifest, runtime="tensorrt-rtx")
    return Engine(manifest, folder)


def _call_count(engine: Engine, host_kernel: HostKernel) -> int:
    gpu = GpuDouble(host_kernel)
    scenario(engine, gpu, rtx=True)
    return len(gpu.ledger.calls)


def test_a_failure_of_any_call_is_reported_and_leaves_nothing_behind(
    engine: Engine, host_kernel: HostKernel, tmp_path: Path
) -> None:
    rtx = _rtx(engine, tmp_path)
    seen = set()
    for place in range(_call_count(rtx, host_kernel)):
        gpu = GpuDouble(host_kernel)
        gpu.ledger.fail_at = place
        try:
            scenario(rtx, gpu, rtx=True)
        except EngineError as error:
            assert "\n" not in str(error)  # noqa: PT017  # every call must have been tried
        else:
            # Closing tells the log alone: the results were right.
            assert gpu.ledger.calls[place] in {"active", "stream.synchronize", "free"}
        seen.add(gpu.ledger.calls[place])
        held = {type(thing).__name__ for thing in gpu.ledger.held}
        assert not held or gpu.ledger.calls[place] == "active", (place, held)
        assert not any(gpu.ledger.active.values())
    assert {"execution itself", "launch", "copy_in", "copy_out", "device_memory"} <= seen


def test_after_a_failure_the_session_only_closes(engine: Engine, gpu: GpuDouble) -> None:
    with TensorRTSession(engine, Platform(TensorRTDouble(gpu), gpu)) as session:
        session.run(frames())
        gpu.ledger.fail_at = len(gpu.ledger.calls) + 8
        with pytest.raises(EngineError):
            session.run(frames())
        with pytest.raises(EngineError, match="failed before"):
            session.run(frames())
    assert not gpu.ledger.held


def test_what_tensorrt_for_rtx_compiled_is_kept_beside_the_engine(
    engine: Engine, host_kernel: HostKernel, tmp_path: Path
) -> None:
    rtx = _rtx(engine, tmp_path)
    cache = tmp_path / "double.rtxcache"
    for content in (None, b"of another GPU"):
        if content is not None:
            cache.write_bytes(content)
        scenario(rtx, GpuDouble(host_kernel), rtx=True)
        assert cache.read_bytes().endswith(b"cache of the double")


def test_a_cache_that_is_not_what_was_written_is_not_given_to_tensorrt(
    engine: Engine, host_kernel: HostKernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rtx = _rtx(engine, tmp_path)
    given: list[bytes] = []
    monkeypatch.setattr("device_double._Cache.deserialize", lambda _, blob: given.append(blob))
    scenario(rtx, GpuDouble(host_kernel), rtx=True)
    kept = (tmp_path / "double.rtxcache").read_bytes()
    scenario(rtx, GpuDouble(host_kernel), rtx=True)
    assert given == [b"cache of the double"]
    (tmp_path / "double.rtxcache").write_bytes(kept[:-1] + b"!")
    scenario(rtx, GpuDouble(host_kernel), rtx=True)
    model = onnx.load(rtx.path)
    model.doc_string = "another engine of this name"
    onnx.save(model, rtx.path)
    other = replace(rtx.manifest, files=(describe_file(rtx.path),))
    (tmp_path / "double.rtxcache").write_bytes(kept)
    scenario(replace(rtx, manifest=other), GpuDouble(host_kernel), rtx=True)
    assert len(given) == 1


@pytest.mark.parametrize("eager", [True, False])
def test_kernels_are_compiled_before_a_run_that_is_measured(
    engine: Engine, gpu: GpuDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, eager: bool
) -> None:
    made: list[Any] = []
    monkeypatch.setattr(
        "device_double._Loaded.create_execution_context",
        lambda loaded, config=None: made.append(config) or _Context(loaded, config),
    )
    trt = TensorRTDouble(gpu, rtx=True)
    with TensorRTSession(_rtx(engine, tmp_path), Platform(trt, gpu), eager=eager):
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
    """It is there, so looking for it would find it."""
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
