"""The contract of every network in the registry: adding a row adds its tests.

Networks are built at a sixteenth of their widths, which keeps layers, strides, dilations and
concatenations but compiles in seconds; batch norms and layers that start at zero get random
values, so that every branch matters.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import tensorrt_rtx as trt
import torch
from tensorrt_interpreter import interpret
from zoo_networks import DISTINCT, LogitsGraph, convolution_names, narrow

from calibration.scenes.synthetic import SyntheticDrive
from models.registry import MODELS, build_model
from models.spec import ModelSpec
from models.weights import load_weights, registered_weights
from pipeline.graph.deployment import DeploymentGraph
from pipeline.graph.exported import ExportedGraph
from pipeline.graph.tolerances import TOLERANCES
from pipeline.runtimes.compiler import Compiled, EngineForm, Job
from pipeline.runtimes.onnx_export import export_onnx
from pipeline.runtimes.openvino.core import compile_for_cpu
from pipeline.runtimes.registry import open_compiler
from pipeline.runtimes.tensorrt.network import collecting_logger, parse_network

SPECS = pytest.mark.parametrize("spec", MODELS.values(), ids=MODELS.keys())

#: Networks that differ from each other even when they are narrow, for slow tests.
DISTINCT_SPECS = pytest.mark.parametrize("spec", DISTINCT.values(), ids=lambda spec: spec.name)

#: Width and height: the usual size, and one that no stride divides.
SIZES = pytest.mark.parametrize("size", [(480, 360), (331, 251)], ids=["480x360", "331x251"])


@SPECS
def test_logits_have_the_size_of_the_picture(spec: ModelSpec) -> None:
    network = narrow(spec).eval()
    smallest = spec.minimum_size
    sizes = [(0, 0), (1, 0), (13, 30), (64, 48)]
    with torch.no_grad():
        for more_rows, more_columns in sizes:
            size = (smallest + more_rows, smallest + more_columns)
            logits = network(torch.randn(2, 3, *size))
            assert logits.shape == (2, len(spec.classes), *size)
            assert logits.isfinite().all()


@SPECS
def test_every_parameter_and_the_input_get_gradients(spec: ModelSpec) -> None:
    network = narrow(spec).train()
    side = max(64, spec.minimum_size)
    x = torch.randn(2, 3, side, side, requires_grad=True)
    network(x).square().mean().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0
    learned = [p for p in network.parameters() if p.requires_grad]
    assert all(p.grad is not None for p in learned)
    assert len(learned) > len(list(network.parameters())) // 2


@SPECS
def test_the_picture_is_labelled_where_it_is_not_beside(spec: ModelSpec) -> None:
    """No resize, crop or padding may shift the map: a mirrored picture has a mirrored map.

    This is only approximate: pooling with even windows and TensorFlow's padding favour one side by
    a pixel.
    """
    network = narrow(spec).eval()
    side = max(225, spec.minimum_size)
    blob = torch.zeros(1, 3, side, side)
    middle = side // 2
    blob[:, :, middle - 20 : middle + 21, middle - 20 : middle + 21] = 3.0
    with torch.no_grad():
        change = (network(blob) - network(torch.zeros_like(blob))).abs().sum((0, 1))
    mass = change / change.sum()
    position = torch.arange(side, dtype=torch.float32)
    assert abs(float((mass.sum(1) * position).sum()) - middle) < 16
    assert abs(float((mass.sum(0) * position).sum()) - middle) < 16


@pytest.mark.slow
@DISTINCT_SPECS
@SIZES
def test_eager_onnx_openvino_and_tensorrt_compute_the_same_in_one_engine(
    spec: ModelSpec, size: tuple[int, int], tmp_path: Path
) -> None:
    network = narrow(spec)
    graph = LogitsGraph(network, replace(spec.input, width=size[0], height=size[1]))
    frame, _ = SyntheticDrive(*size).frame(0)
    with torch.no_grad():
        expected = graph(torch.from_numpy(frame[None])).numpy()
    job = Job(graph, "engine", "fp32", EngineForm(), tmp_path)
    compiled = open_compiler("openvino").compile(job, lambda what, share: None)
    assert compiled.layers.source == "engine"
    assert set(compiled.layers.convolutions) == convolution_names(network)
    onnx = onnxruntime.InferenceSession(tmp_path / "graph.onnx").run(None, {"frames": frame[None]})
    engine = compile_for_cpu(compiled.files[0], "fp32")
    for computed in (onnx[0], engine(frame[None])[0], in_tensorrt(tmp_path / "graph.onnx", frame)):
        assert_same(expected, computed, "fp32")


def in_tensorrt(onnx: Path, frame: np.ndarray) -> np.ndarray:
    """Compute the network that TensorRT's parser makes from a file, without a GPU."""
    logger = collecting_logger(trt)
    builder = trt.Builder(logger)
    network = parse_network(trt, builder, onnx, logger)
    (output,) = interpret(network, frames=torch.from_numpy(frame[None])).values()
    return output.float().numpy()


def assert_same(expected: np.ndarray, computed: np.ndarray, precision: str) -> None:
    tolerance = TOLERANCES[precision]
    logits = expected[:, :-1]
    assert np.abs(computed[:, :-1] - logits).max() <= tolerance.logits * logits.std()
    assert np.mean(computed[:, -1] == expected[:, -1]) >= tolerance.agreement


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in MODELS if registered_weights(name)])
def test_a_trained_network_in_fp16_stays_within_the_table(name: str, tmp_path: Path) -> None:
    """On a processor without FP16 arithmetic OpenVINO rounds only the weights, which loses less."""
    spec = MODELS[name]
    network = build_model(spec)
    load_weights(network, spec, None)
    graph = LogitsGraph(network, spec.input)
    frame, _ = SyntheticDrive(spec.input.width, spec.input.height).frame(150)
    with torch.no_grad():
        expected = graph(torch.from_numpy(frame[None])).numpy()
    job = Job(graph, "engine", "fp16", EngineForm(), tmp_path)
    compiled = open_compiler("openvino").compile(job, lambda what, share: None)
    computed = compile_for_cpu(compiled.files[0], "fp16")(frame[None])[0]
    export_onnx(ExportedGraph(graph).with_dtype(torch.float16), tmp_path / "half.onnx")
    for logits in (computed, in_tensorrt(tmp_path / "half.onnx", frame)):
        assert not np.array_equal(logits, expected)
        assert_same(expected, logits, "fp16")


@pytest.mark.slow
@DISTINCT_SPECS
def test_tensorrt_builds_the_whole_network_in_fp16(spec: ModelSpec, tmp_path: Path) -> None:
    """At the registered size; the test below builds one that no stride divides."""
    network = narrow(spec)
    compiled = built_in_fp16(DeploymentGraph(network, spec.input), tmp_path)
    assert compiled.layers.source == "builder"
    assert set(compiled.layers.convolutions) == convolution_names(network)
    assert set(compiled.layers.convolutions.values()) == {"fp16"}
    assert [file.suffix for file in compiled.files] == [".engine"]


@pytest.mark.slow
@DISTINCT_SPECS
def test_the_fp16_network_in_tensorrt_is_pytorchs(spec: ModelSpec, tmp_path: Path) -> None:
    """Compared with PyTorch in FP16: rounding may choose another maximum to unpool to."""
    size = (max(161, spec.minimum_size), max(121, spec.minimum_size))
    graph = LogitsGraph(narrow(spec), replace(spec.input, width=size[0], height=size[1]))
    frame, _ = SyntheticDrive(*size).frame(0)
    half = ExportedGraph(graph).with_dtype(torch.float16)
    with torch.no_grad():
        expected = half(torch.from_numpy(frame[None])).float().numpy()
    export_onnx(half, tmp_path / "half.onnx")
    assert_same(expected, in_tensorrt(tmp_path / "half.onnx", frame), "fp16")
    assert built_in_fp16(tmp_path / "half.onnx", tmp_path).files


def built_in_fp16(graph: DeploymentGraph | Path, folder: Path) -> Compiled:
    job = Job(graph, "engine", "fp16", EngineForm(targets=("sm86",)), folder)
    return open_compiler("tensorrt-rtx").compile(job, lambda what, share: None)
