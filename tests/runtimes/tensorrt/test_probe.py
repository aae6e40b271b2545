"""TensorRT's part of ``bench``, with a double of the GPU and TensorRT's real builder."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from device_double import GpuDouble
from host_kernel import HostKernel
from tensorrt_double import TensorRTDouble
from torch import nn

from pipeline.engine.manifest import Engine, LayerPrecisions, describe_file
from pipeline.errors import EngineError, RuntimeMissingError
from pipeline.evaluation.profile.bench import BenchOptions, bench
from pipeline.graph.deployment import DeploymentGraph
from pipeline.runtimes.onnx_export import export_onnx
from pipeline.runtimes.probe import IN_A_ROW, Shape, probe_for
from pipeline.runtimes.registry import open_session
from pipeline.runtimes.tensorrt import load, probe
from pipeline.runtimes.tensorrt import session as tensorrt_session
from pipeline.runtimes.tensorrt.load import TensorRTLoad, build_load
from pipeline.runtimes.tensorrt.network import planned_convolutions
from pipeline.runtimes.tensorrt.platform import Platform
from pipeline.runtimes.tensorrt.probe import TensorRTProbe

SHAPE = Shape(channels=8, height=6, width=10)


@pytest.fixture(scope="module")
def engine(small_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = tmp_path_factory.mktemp("double")
    torch.manual_seed(0)
    graph = DeploymentGraph(nn.Conv2d(3, 11, 3, padding=1), small_engine.manifest.input)
    export_onnx(graph, folder / "double.engine")
    manifest = replace(
        small_engine.manifest,
        runtime="tensorrt",
        runtime_version="10.3.0",
        targets=("sm89",),
        files=(describe_file(folder / "double.engine"),),
        settings={},
        layers=LayerPrecisions("network", {"encoder.0": "fp16", "head": "fp32"}),
    )
    return Engine(manifest, folder)


@pytest.fixture
def gpu(host_kernel: HostKernel) -> GpuDouble:
    gpu = GpuDouble(host_kernel)
    gpu.layer_names = [
        "__myl_CastTran_myl0_0",
        "encoder.0_myl0_1",
        "node_max_pool2d_3_myl0_2",
        "reformat + head + relu",
    ]
    return gpu


@pytest.fixture
def platform(gpu: GpuDouble, monkeypatch: pytest.MonkeyPatch) -> Platform:
    """The double instead of this machine's GPU, also where code opens the GPU itself."""
    platform = Platform(TensorRTDouble(gpu), gpu)
    monkeypatch.setattr(tensorrt_session, "open_platform", lambda runtime: platform)
    monkeypatch.setattr(probe, "open_platform", lambda runtime: platform)
    onnx_bytes = relu(SHAPE)
    monkeypatch.setattr(probe, "build_load", lambda *given: onnx_bytes)
    return platform


def relu(shape: Shape) -> bytes:
    """An engine of the double, with the inputs and outputs of a load."""
    ends = [
        onnx.helper.make_tensor_value_info(
            name, onnx.TensorProto.FLOAT, (1, shape.channels, shape.height, shape.width)
        )
        for name in ("given", "found")
    ]
    node = onnx.helper.make_node("Relu", ["given"], ["found"])
    graph = onnx.helper.make_graph([node], "load", ends[:1], ends[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)])
    model.ir_version = 10
    return bytes(model.SerializeToString())


def test_layers_have_the_medians_of_their_times_and_the_precision_of_the_manifest(
    engine: Engine, gpu: GpuDouble, platform: Platform
) -> None:
    layers = TensorRTProbe(platform).layers(engine, np.zeros((1, 90, 120, 3), np.uint8), runs=3)
    assert [(one.name, one.kind, one.precision, one.ms) for one in layers] == [
        ("__myl_CastTran_myl0_0", "CastTran", "", 2.0),
        ("encoder.0", "convolution", "fp16", 12.0),
        ("node_max_pool2d_3_myl0_2", "max_pool2d", "", 22.0),
        ("head", "convolution", "fp32", 32.0),
    ]
    assert not gpu.ledger.held


@pytest.mark.parametrize("runtime", ["tensorrt", "tensorrt-rtx"])
def test_bench_shows_the_layers_and_knows_no_limit(
    engine: Engine, platform: Platform, runtime: str
) -> None:
    # The double is only one TensorRT; this checks that the probe of each is found.
    probe = probe_for(runtime)
    assert isinstance(probe, TensorRTProbe)
    with open_session(engine) as session:
        options = BenchOptions(runs=2, seconds=0.1, clip=0, layers=True)
        report = bench(engine, session, options, lambda what, share: None)
    assert report.layers is not None
    assert len(report.layers) == 4
    assert report.limit is None


def test_a_load_runs_each_engine_and_gives_everything_back(gpu: GpuDouble) -> None:
    shapes = (SHAPE, Shape(4, 3, 5))
    trt: Any = TensorRTDouble(gpu)
    with TensorRTLoad(trt, gpu, shapes, [relu(shape) for shape in shapes]) as load:
        assert load.macs == IN_A_ROW * sum(shape.macs for shape in shapes)
        load.run()
        assert load.seconds() > 0
        assert gpu.ledger.calls.count("execute_async_v3") == 4
        found = [memory.bytes for memory in gpu.memories]
        assert all(values.view(np.float32).max() > 0.9 for values in found)
    assert not gpu.ledger.held


def test_whatever_fails_a_load_ends_in_one_line_and_holds_nothing(
    gpu: GpuDouble, host_kernel: HostKernel
) -> None:
    def once(gpu: GpuDouble) -> None:
        trt: Any = TensorRTDouble(gpu)
        with TensorRTLoad(trt, gpu, [SHAPE], [relu(SHAPE)]) as load:
            load.run()

    once(gpu)
    told = []
    closing = max(place for place, name in enumerate(gpu.ledger.calls) if name == "active")
    for place, name in enumerate(gpu.ledger.calls):
        failing = GpuDouble(host_kernel)
        failing.ledger.fail_at = place
        try:
            once(failing)
        except (EngineError, RuntimeMissingError) as error:
            told.append(str(error))
        else:
            # Errors during the release are only logged.
            assert name in {"stream.synchronize", "free"} or place == closing, (
                f"{name} failed in silence"
            )
        # Nothing can be released on a GPU that no longer answers.
        assert place == closing or not failing.ledger.held, f"call {place}, {name}"
    assert len(told) > 10
    assert not any("\n" in line for line in told)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16", "int8"])
def test_the_builder_computes_the_reference_in_the_precision_that_was_asked_for(
    precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trt: ModuleType = pytest.importorskip("tensorrt_rtx")
    networks = []
    fill = load._fill

    def listen(trt: ModuleType, network: Any, *given: Any) -> Any:
        networks.append(network)
        constants = fill(trt, network, *given)
        planned = planned_convolutions(trt, network).convolutions
        assert list(planned.values()) == [precision] * IN_A_ROW
        assert tuple(network.get_output(0).shape) == (1, 8, 6, 10)
        return constants

    monkeypatch.setattr(load, "_fill", listen)
    assert build_load(trt, SHAPE, precision, "sm86")
    assert len(networks) == 1


def test_a_gpu_that_is_no_target_by_name_gets_the_load_of_all_later_ones() -> None:
    trt: ModuleType = pytest.importorskip("tensorrt_rtx")
    assert build_load(trt, SHAPE, "fp16", "sm130")


def test_a_precision_that_no_reference_is_known_in_is_named() -> None:
    trt: ModuleType = pytest.importorskip("tensorrt_rtx")
    with pytest.raises(EngineError, match="in 'fp8', expected one of fp32, fp16, bf16, int8"):
        build_load(trt, SHAPE, "fp8", "sm86")
