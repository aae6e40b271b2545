"""Networks with Q/DQ pairs for tests: narrow, quantised by one drawn frame, read back and compared.

Ranges are the largest values that the frame reaches.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tensorrt_rtx as trt
import torch
from tensorrt_interpreter import interpret
from torch import nn
from torch.fx import Interpreter, Node
from zoo_networks import LogitsGraph, narrow

from calibration.observers.histogram import SMALLEST_THRESHOLD
from calibration.scenes.synthetic import SyntheticDrive
from models.spec import ModelSpec
from pipeline.graph.exported import ExportedGraph
from pipeline.graph.qdq import INT8_WEIGHT, QDQGraph
from pipeline.runtimes.compiler import EngineForm, Job
from pipeline.runtimes.onnx_export import export_onnx
from pipeline.runtimes.registry import open_compiler
from pipeline.runtimes.tensorrt.network import (
    Filled,
    collecting_logger,
    layers_of,
    parse_network,
)

_TYPES = {torch.float32: trt.DataType.FLOAT, torch.float16: trt.DataType.HALF}


class QuantisableLogits(LogitsGraph):
    """Returns logits in another type."""

    def with_dtype(self, dtype: torch.dtype) -> QuantisableLogits:
        return QuantisableLogits(copy.deepcopy(self.network), self.spec, dtype)


class Maxima(Interpreter):
    """Runs an exported graph and keeps the largest magnitude of what its placement quantises."""

    def __init__(self, exported: ExportedGraph) -> None:
        super().__init__(exported.module)
        self._names = {node.name: name for node, name in exported.placement().tensors.items()}
        self.reached: dict[str, float] = {}

    def run_node(self, n: Node) -> Any:
        result = super().run_node(n)
        if n.name in self._names:
            largest = max(float(result.abs().max()), SMALLEST_THRESHOLD)
            self.reached[self._names[n.name]] = largest
        return result


class Case:
    """One narrow network, quantised; shared results are computed once."""

    def __init__(self, spec: ModelSpec, folder: Path) -> None:
        size = (max(161, spec.minimum_size), max(121, spec.minimum_size))
        self.network = narrow(spec)
        graph = QuantisableLogits(self.network, replace(spec.input, width=size[0], height=size[1]))
        self.frame = torch.from_numpy(SyntheticDrive(*size).frame(0)[0])[None]
        self.exported = ExportedGraph(graph)
        maxima = Maxima(self.exported)
        with torch.no_grad():
            self.in_floats = maxima.run(self.frame)
        self.thresholds = maxima.reached
        # TensorRT keeps classifiers in floating point.
        classifiers = self.exported.placement().classifiers
        self.quantised = QDQGraph(
            self.exported, lambda name, dtype: self.thresholds[name], classifiers, unsigned=False
        )
        self._folder = folder

    @cached_property
    def half(self) -> Path:
        """ONNX file of the product's own build for a GPU, which it also serialised."""
        job = Job(self, "engine", "int8", EngineForm(targets=("sm86",)), self._folder)
        open_compiler("tensorrt-rtx").compile(job, lambda what, share: None)
        return self._folder / "graph.onnx"

    @cached_property
    def single(self) -> Path:
        """The same with FP32 where it is not INT8."""
        export_onnx(self.with_dtype(torch.float32), self._folder / "single.onnx")
        return self._folder / "single.onnx"

    @cached_property
    def of_openvino(self) -> QDQGraph:
        """OpenVINO's form of it: unsigned bytes where they do."""
        return QDQGraph(self.exported, lambda name, dtype: self.thresholds[name], (), unsigned=True)

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


class Parsed:
    """A finished TensorRT network with the objects that own it, and the producer of each tensor."""

    def __init__(self, filled: Filled, logger: Any) -> None:
        self._filled = filled
        self.logger = logger
        self.network = filled.network
        self.layers = list(layers_of(trt, self.network))
        self._makers = {
            layer.get_output(i).name: layer
            for layer in self.layers
            for i in range(layer.num_outputs)
        }

    @classmethod
    def of(cls, onnx: Path) -> Parsed:
        """Let TensorRT's parser read a file."""
        logger = collecting_logger(trt)
        builder = trt.Builder(logger)
        return cls(Filled(builder, parse_network(trt, builder, onnx, logger)), logger)

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


def assert_pairs(parsed: Parsed, case: Case, dtype: torch.dtype) -> None:
    """One pair for each quantised tensor, one DEQUANTIZE for each INT8 convolution's weights."""
    placement = case.quantised.placement
    used = list(parsed.used())
    for layers in (used, parsed.layers):  # none is folded, none is left over
        count = Counter(layer.type for layer in layers)
        assert count[trt.LayerType.QUANTIZE] == len(placement.sites)
        assert count[trt.LayerType.DEQUANTIZE] == len(placement.sites) + len(placement.int8)
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


#: Two FP16 computations may differ by this share of INT8's change, since they sum in other orders;
#: for networks where FP16 itself changes much of that. On Zen 4: 0.55 of 0.68, 0.61 of 0.95.
IN_HALVES = {"deeplab_v3_resnet50": 0.7, "unet": 1.0}


def assert_near(case: Case, expected: np.ndarray, computed: np.ndarray, share: float) -> None:
    """Compare by the only measure that fits every network: what INT8 itself changes in it.

    Values on the boundary between two levels can round either way when a sum has another order
    or a type is shorter; after that a whole level differs. How far this propagates depends on the
    network: a maximum that moves inside its window moves SegNet's unpooled values.

    Args:
        case: whose change from floats to INT8 in FP32 is the unit.
        expected: logits, and the class map as one channel more.
        computed: likewise.
        share: allowed part of that change, in the mean of logits and in the number of pixels.
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
