"""INT8 of every network as TensorRT is given it, proven without a GPU.

Networks are narrow, as in ``test_zoo``; ranges are the largest values that one drawn frame reaches.
Three proofs: every network's FP16 engine with INT8 convolutions builds, and its network definition
holds exactly the Q/DQ pairs that were planned; computed layer by layer, the definition gives what
PyTorch gives; other runtimes agree on the same file.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import tensorrt_rtx as trt
import torch
from tensorrt_interpreter import interpret
from test_zoo import LogitsGraph, convolution_names, narrow
from torch import nn
from torch.fx import Interpreter, Node

from calibration.histogram import SMALLEST_THRESHOLD
from calibration.synthetic import SyntheticDrive
from models.registry import MODELS
from models.spec import ModelSpec
from pipeline.captured import CapturedGraph
from pipeline.compilers import open_compiler
from pipeline.compilers.base import Job
from pipeline.compilers.onnx_export import export_onnx
from pipeline.compilers.tensorrt_network import (
    collecting_logger,
    layers_of,
    parse_network,
    planned_convolutions,
)
from pipeline.quantised import INT8_WEIGHT, QuantisedGraph
from pipeline.sessions.openvino import compile_for_cpu

#: Every network. Rows of the registry that differ in width alone are one network here.
_DISTINCT = {
    (spec.builder, str({**spec.variant, "width": None})): spec for spec in reversed(MODELS.values())
}
SPECS = pytest.mark.parametrize("spec", _DISTINCT.values(), ids=lambda spec: spec.name)

#: Networks that are computed as well, at least one of each kind of placement: plain with skips,
#: unpooling, concatenation, dense blocks, residuals with pyramid pooling, and inverted residuals
#: with a resize before the concatenation.
COMPUTED = pytest.mark.parametrize(
    "spec",
    [
        MODELS[name]
        for name in (
            "fcn8s",
            "segnet",
            "unet",
            "fc_densenet56",
            "pspnet_resnet50",
            "deeplab_v3plus_lite",
        )
    ],
    ids=lambda spec: spec.name,
)

_TYPES = {torch.float32: trt.DataType.FLOAT, torch.float16: trt.DataType.HALF}

_QUANTIZE = torch.ops.quantized_decomposed.quantize_per_tensor.default
_DEQUANTIZE_WEIGHT = torch.ops.quantized_decomposed.dequantize_per_channel.default


class QuantisableLogits(LogitsGraph):
    """Keeps handing out logits in another type."""

    def with_dtype(self, dtype: torch.dtype) -> QuantisableLogits:
        return QuantisableLogits(copy.deepcopy(self.network), self.spec, dtype)


class Maxima(Interpreter):
    """Runs a captured graph and keeps the largest magnitude of what its placement quantises."""

    def __init__(self, captured: CapturedGraph) -> None:
        super().__init__(captured.module)
        self._names = {node.name: name for node, name in captured.placement().tensors.items()}
        self.reached: dict[str, float] = {}

    def run_node(self, n: Node) -> Any:
        result = super().run_node(n)
        if n.name in self._names:
            largest = max(float(result.abs().max()), SMALLEST_THRESHOLD)
            self.reached[self._names[n.name]] = largest
        return result


class Case:
    """One narrow network, quantised; what tests share is computed once."""

    def __init__(self, spec: ModelSpec, folder: Path) -> None:
        size = (max(161, spec.minimum_size), max(121, spec.minimum_size))
        self.network = narrow(spec)
        graph = QuantisableLogits(self.network, replace(spec.input, width=size[0], height=size[1]))
        self.frame = torch.from_numpy(SyntheticDrive(*size).frame(0)[0])[None]
        self.captured = CapturedGraph(graph)
        maxima = Maxima(self.captured)
        with torch.no_grad():
            self.in_floats = maxima.run(self.frame)
        self.thresholds = maxima.reached
        self.quantised = QuantisedGraph(
            self.captured, lambda name, dtype: self.thresholds[name], (), unsigned=False
        )
        self._folder = folder

    @cached_property
    def half(self) -> Path:
        """ONNX file of the product's own build for a GPU, which it also serialised."""
        job = Job(self, "engine", "int8", ("sm86",), self._folder)
        open_compiler("tensorrt-rtx").compile(job, lambda what, share: None)
        return self._folder / "graph.onnx"

    @cached_property
    def single(self) -> Path:
        """The same with FP32 where it is not INT8."""
        export_onnx(self.with_dtype(torch.float32), self._folder / "single.onnx")
        return self._folder / "single.onnx"

    def with_dtype(self, dtype: torch.dtype, free_batch: bool = False) -> nn.Module:
        if dtype not in self._modules:
            self._modules[dtype] = self.quantised.with_dtype(dtype)
        return self._modules[dtype]

    @cached_property
    def _modules(self) -> dict[torch.dtype, nn.Module]:
        return {}

    def in_pytorch(self, dtype: torch.dtype) -> np.ndarray:
        with torch.no_grad():
            return self.with_dtype(dtype)(self.frame).float().numpy()


@pytest.fixture(scope="module")
def case_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[ModelSpec], Case]:
    cases: dict[str, Case] = {}

    def find(spec: ModelSpec) -> Case:
        if spec.name not in cases:
            cases[spec.name] = Case(spec, tmp_path_factory.mktemp(spec.name))
        return cases[spec.name]

    return find


class Parsed:
    """A finished TensorRT network with the objects that own it, and who made which tensor."""

    def __init__(self, onnx: Path) -> None:
        self.logger = collecting_logger(trt)
        self._builder = trt.Builder(self.logger)
        self.network = parse_network(trt, self._builder, onnx, self.logger)
        self.layers = list(layers_of(trt, self.network))
        self._makers = {
            layer.get_output(i).name: layer
            for layer in self.layers
            for i in range(layer.num_outputs)
        }

    def maker(self, layer: Any, index: int) -> Any:
        """The layer that makes an input; None for the network's own."""
        tensor = layer.get_input(index)
        return None if tensor is None else self._makers.get(tensor.name)

    def used(self) -> Iterator[Any]:
        """Layers that the output depends on; the others are not built."""
        waiting = [self._makers[self.network.get_output(0).name]]
        seen: set[str] = set()
        while waiting:
            layer = waiting.pop()
            if layer is None or layer.name in seen:
                continue
            seen.add(layer.name)
            yield layer
            waiting += [self.maker(layer, index) for index in range(layer.num_inputs)]

    def constant(self, layer: Any, index: int) -> np.ndarray:
        maker = self.maker(layer, index)
        assert maker.type == trt.LayerType.CONSTANT
        maker.__class__ = trt.IConstantLayer
        return maker.weights.reshape(tuple(maker.shape))

    def computed(self, frame: torch.Tensor) -> np.ndarray:
        (output,) = interpret(self.network, frames=frame).values()
        return output.float().numpy()


@SPECS
def test_tensorrt_builds_every_network_with_the_planned_q_dq_pairs(
    spec: ModelSpec, case_of: Callable[[ModelSpec], Case]
) -> None:
    case = case_of(spec)
    placement = case.quantised.placement
    assert placement.int8
    parsed = Parsed(case.half)  # building it succeeded
    found = planned_convolutions(trt, parsed.network).convolutions
    assert found == {one.name: "int8" if one.int8 else "fp16" for one in placement.convolutions}
    assert found.keys() == convolution_names(case.network)
    assert tuple(parsed.network.get_output(0).shape)  # every type fits, else there is no shape
    assert parsed.logger.errors == []
    assert_pairs(parsed, case, torch.float16)


def assert_pairs(parsed: Parsed, case: Case, dtype: torch.dtype) -> None:
    """One pair for each quantised tensor, one DEQUANTIZE for each INT8 convolution's weights."""
    placement = case.quantised.placement
    used = list(parsed.used())
    for layers in (used, parsed.layers):  # none is folded away, none is left behind
        count = Counter(layer.type for layer in layers)
        assert count[trt.LayerType.QUANTIZE] == len(placement.tensors)
        assert count[trt.LayerType.DEQUANTIZE] == len(placement.tensors) + len(placement.int8)
    for layer in used:
        inputs = [parsed.maker(layer, index) for index in range(layer.num_inputs)]
        kinds = [None if maker is None else maker.type for maker in inputs]
        if layer.type == trt.LayerType.QUANTIZE:
            assert kinds[0] != trt.LayerType.CAST
        if layer.type == trt.LayerType.CAST:
            assert kinds[0] != trt.LayerType.DEQUANTIZE
        if layer.type in (trt.LayerType.QUANTIZE, trt.LayerType.DEQUANTIZE):
            assert layer.get_input(1).dtype == trt.DataType.FLOAT
            assert (parsed.constant(layer, 1) > 0).all()
        if layer.type == trt.LayerType.DEQUANTIZE:
            assert layer.get_output(0).dtype == _TYPES[dtype]
        if layer.type == trt.LayerType.CONVOLUTION:
            assert_weights(parsed, layer, case, dtype)


def assert_weights(parsed: Parsed, layer: Any, case: Case, dtype: torch.dtype) -> None:
    """INT8 weights are in the network as INT8; those of other convolutions as floats."""
    kernel = parsed.maker(layer, 1) if layer.num_inputs > 1 else None
    if layer.name not in case.quantised.placement.nodes:
        assert kernel is None or kernel.type != trt.LayerType.DEQUANTIZE
        return
    assert kernel.axis == 0 or kernel.get_input(1).shape[0] == 1  # one channel: any axis will do
    levels = parsed.constant(kernel, 0)
    assert levels.dtype == np.int8
    assert len(parsed.constant(kernel, 1)) == len(levels)
    module = case.with_dtype(dtype)
    expected = module.get_submodule(f"network.{layer.name}").get_buffer(INT8_WEIGHT)
    assert np.array_equal(levels, expected.numpy())


@SPECS
def test_the_quantised_graph_holds_each_tensor_once(
    spec: ModelSpec, case_of: Callable[[ModelSpec], Case]
) -> None:
    case = case_of(spec)
    graph = case.with_dtype(torch.float16).graph
    pairs = graph.find_nodes(op="call_function", target=_QUANTIZE)
    assert len({pair.args[0] for pair in pairs}) == len(pairs) == len(case.thresholds)
    weights = graph.find_nodes(op="call_function", target=_DEQUANTIZE_WEIGHT)
    assert len(weights) == len(case.quantised.placement.int8)


def assert_near(case: Case, expected: np.ndarray, computed: np.ndarray, share: float) -> None:
    """Compare by the only measure that fits every network: what INT8 itself changes in it.

    Values that lie on the edge between two levels go either way when a sum is formed in another
    order or a type is shorter; from there on a whole level differs. How far that carries depends
    on the network: a maximum that moves inside its window moves SegNet's unpooled values.

    Args:
        case: whose change from floats to INT8 in FP32 is the unit.
        expected: logits, and the class map as one channel more.
        computed: likewise.
        share: of that change that is allowed, in the mean of logits and in the number of pixels.
    """
    floats, int8 = case.in_floats.numpy(), case.in_pytorch(torch.float32)
    assert distance(floats, int8) > 0
    assert distance(expected, computed) <= share * distance(floats, int8)
    assert changed(expected, computed) <= share * changed(floats, int8) + 0.001


def distance(expected: np.ndarray, computed: np.ndarray) -> float:
    """Mean difference of logits as a share of their standard deviation."""
    logits = expected[:, :-1]
    return float(np.abs(computed[:, :-1] - logits).mean() / logits.std())


def changed(expected: np.ndarray, computed: np.ndarray) -> float:
    """Share of pixels with another class."""
    return float(np.mean(expected[:, -1] != computed[:, -1]))


@COMPUTED
def test_the_fp32_form_in_tensorrt_computes_what_pytorch_computes(
    spec: ModelSpec, case_of: Callable[[ModelSpec], Case]
) -> None:
    """Measured: 0 in these, 0.03 in pspnet_resnet101: PyTorch multiplies by 1 / scale."""
    case = case_of(spec)
    parsed = Parsed(case.single)
    assert planned_convolutions(trt, parsed.network).convolutions == {
        one.name: "int8" if one.int8 else "fp32" for one in case.quantised.placement.convolutions
    }
    assert_pairs(parsed, case, torch.float32)
    assert_near(case, case.in_pytorch(torch.float32), parsed.computed(case.frame), 0.1)


@COMPUTED
def test_the_fp16_form_in_tensorrt_computes_what_pytorch_computes(
    spec: ModelSpec, case_of: Callable[[ModelSpec], Case]
) -> None:
    """Measured: 0.02 at most in these, 0.4 elsewhere: some FP16 kernels of PyTorch round sums."""
    case = case_of(spec)
    computed = Parsed(case.half).computed(case.frame)
    assert_near(case, case.in_pytorch(torch.float16), computed, 0.5)


@COMPUTED
def test_fp16_changes_no_more_than_int8_does(
    spec: ModelSpec, case_of: Callable[[ModelSpec], Case]
) -> None:
    """Measured: 1.04 at most. FP16 has 8 steps for one of INT8 at the end of the range."""
    case = case_of(spec)
    single, half = (Parsed(path).computed(case.frame) for path in (case.single, case.half))
    assert_near(case, single, half, 1.5)


@COMPUTED
def test_onnx_runtime_and_openvino_agree_on_the_same_file(
    spec: ModelSpec, case_of: Callable[[ModelSpec], Case]
) -> None:
    """Measured: 0.25 for the file as it stands, 0.33 where OpenVINO computes in INT8.

    Unsigned ranges are OpenVINO's own form; this is TensorRT's, signed.
    """
    case = case_of(spec)
    expected, frame = case.in_pytorch(torch.float32), case.frame.numpy()
    plain = onnxruntime.SessionOptions()
    plain.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(case.single, plain)
    assert_near(case, expected, session.run(None, {"frames": frame})[0], 0.5)
    assert_near(case, expected, compile_for_cpu(case.single, "int8")(frame)[0], 0.75)
