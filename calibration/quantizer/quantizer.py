"""The project's PT2E quantiser: INT8 in TensorRT's form, ranges from a calibration table.

Weights are symmetric per output channel, activations symmetric per tensor with zero point 0, so
that one placement suits TensorRT, OpenVINO and ONNX Runtime. For a runtime with unsigned bytes,
tensors that are never negative use all 255 levels instead of half of them.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node
from torchao.quantization.pt2e.observer import ObserverBase, PerChannelMinMaxObserver
from torchao.quantization.pt2e.quantizer import (
    QuantizationAnnotation,
    QuantizationSpec,
    Quantizer,
    SharedQuantizationSpec,
)

from calibration.errors import CalibrationError
from calibration.quantizer.half_scales import HalfPerChannelObserver, in_half
from calibration.quantizer.placement import RESIZES, Placement
from calibration.quantizer.signs import never_negative
from calibration.records import Dtype

_ANNOTATION = "quantization_annotation"

#: Weights, (out, in, kh, kw): one scale per output channel, the levels -127..127.
WEIGHTS = QuantizationSpec(
    torch.int8,
    PerChannelMinMaxObserver,
    quant_min=-127,
    quant_max=127,
    qscheme=torch.per_channel_symmetric,
    ch_axis=0,
)
#: The same with scales rounded to FP16.
HALF_WEIGHTS = replace(WEIGHTS, observer_or_fake_quant_ctr=HalfPerChannelObserver)


class RangeObserver(ObserverBase):  # type: ignore[misc]  # torchao carries no types
    """Holds the range of a quantised tensor, or of several on one scale.

    Attributes:
        threshold: largest magnitude that is represented; set before conversion.
    """

    def __init__(self, dtype: torch.dtype, quant_min: int, quant_max: int, **_: Any) -> None:
        super().__init__(dtype=dtype)
        self.quant_min, self.quant_max = quant_min, quant_max
        self.qscheme = torch.per_tensor_symmetric
        self.threshold = 0.0

    def forward(self, x: Tensor) -> Tensor:
        """Let ``x`` pass."""
        return x

    def calculate_qparams(self) -> tuple[Tensor, Tensor]:
        """Return scale (1,) FP32 and zero point 0."""
        if self.threshold <= 0:
            raise CalibrationError(
                "a quantised tensor has no range, expected one from calibration; calibrate again"
            )
        return torch.tensor([self.threshold / self.quant_max]), torch.zeros(1, dtype=torch.int64)


class HalfRangeObserver(RangeObserver):
    """The same with a scale rounded to FP16."""

    def calculate_qparams(self) -> tuple[Tensor, Tensor]:
        """Return scale (1,) FP32 and zero point 0."""
        scale, zero = super().calculate_qparams()
        return in_half(scale), zero


def _activations(
    dtype: torch.dtype, observer: type[RangeObserver] = RangeObserver
) -> QuantizationSpec:
    limits = torch.iinfo(dtype)
    return QuantizationSpec(
        dtype,
        observer,
        quant_min=limits.min,
        quant_max=limits.max,
        qscheme=torch.per_tensor_symmetric,
    )


SIGNED, UNSIGNED = _activations(torch.int8), _activations(torch.uint8)
HALF_SIGNED = _activations(torch.int8, HalfRangeObserver)


class RoadQuantizer(Quantizer):  # type: ignore[misc]
    """Annotates a graph as a placement decided.

    Args:
        placement: made for the graph that is annotated.
        unsigned: tensors that are never negative get the range 0..255, for OpenVINO. Otherwise all
            are signed and scales are rounded to FP16, for TensorRT.
    """

    def __init__(self, placement: Placement, unsigned: bool) -> None:
        super().__init__()
        self._placement = placement
        self._unsigned = unsigned

    def annotate(self, model: GraphModule) -> GraphModule:
        """Mark inputs and weights of convolutions, poolings, residual branches, concatenations."""
        shared = dict(self._before_pooling())
        for node in self._placement.nodes.values():
            x, weight = node.all_input_nodes[:2]
            weights = WEIGHTS if self._unsigned else HALF_WEIGHTS
            _mark(node, {x: shared.get(x) or self._range_of(x), weight: weights})
        for addition, skip in self._placement.skips.items():
            _mark(addition, {skip: self._range_of(skip)})
        for concat in self._placement.concats:
            self._share(concat)
        return model

    def validate(self, model: GraphModule) -> None:
        """Nothing to add: the placement was made for this graph."""

    def _range_of(self, value: Node) -> QuantizationSpec:
        if not self._unsigned:
            return HALF_SIGNED
        return UNSIGNED if never_negative(value) else SIGNED

    def _before_pooling(self) -> Iterator[tuple[Node, SharedQuantizationSpec]]:
        """Quantise pooled tensors; yield each pooling, and the scale for its readers."""
        for value, pooling in self._placement.pooled.items():
            shared = SharedQuantizationSpec((value, pooling))
            for reader in value.users:
                _mark(reader, {value: self._range_of(value) if reader is pooling else shared})
            yield pooling, shared

    def _share(self, concat: Node) -> None:
        """Give all inputs of a concatenation, and its output, one scale.

        Resized inputs are quantised before the resize, so that it works on bytes.
        """
        inputs = list(concat.all_input_nodes)
        resizes = [v for v in inputs if v.target in RESIZES and _ANNOTATION not in v.meta]
        edges = [(node.all_input_nodes[0], node) for node in sorted(resizes)]
        edges += [(value, concat) for value in inputs]
        # PT2E makes the observer at the first edge of a shared scale, so that has the range.
        shared = SharedQuantizationSpec(edges[0])
        ranges = dict.fromkeys(edges, shared) | {edges[0]: self._range_of(concat)}
        for (value, node), kind in ranges.items():
            if node is not concat:
                _mark(node, {value: kind})
        _mark(concat, {value: ranges[value, concat] for value in inputs}, shared)


def _mark(node: Node, inputs: Mapping[Node, Any], output: Any = None) -> None:
    node.meta[_ANNOTATION] = QuantizationAnnotation(
        input_qspec_map=dict(inputs), output_qspec=output, _annotated=True
    )


def set_ranges(prepared: GraphModule, threshold_of: Callable[[str, Dtype], float]) -> None:
    """Set the range of every observer of a prepared graph: the largest of its tensors' ranges.

    Args:
        prepared: from ``prepare_pt2e`` with :class:`RoadQuantizer`.
        threshold_of: node name of a tensor in that graph, and ``int8`` or ``uint8`` -> magnitude.
    """
    modules = dict(prepared.named_modules(remove_duplicate=False))
    for node in prepared.graph.nodes:
        module = modules.get(str(node.target)) if node.op == "call_module" else None
        if isinstance(module, RangeObserver):
            dtype: Dtype = "uint8" if module.dtype is torch.uint8 else "int8"
            tensor = _observed(node, modules)
            module.threshold = max(module.threshold, threshold_of(tensor.name, dtype))


def observe_weights(prepared: GraphModule) -> None:
    """Measure the weights of a prepared graph, without running the network."""
    modules = dict(prepared.named_modules(remove_duplicate=False))
    for node in prepared.graph.nodes:
        module = modules.get(str(node.target)) if node.op == "call_module" else None
        if isinstance(module, PerChannelMinMaxObserver):
            weight = operator.attrgetter(str(node.all_input_nodes[0].target))(prepared)
            module(weight.detach().float())


def _observed(observer: Node, modules: Mapping[str, object]) -> Node:
    """Return the tensor that an observer observes, through other observers."""
    value = observer.all_input_nodes[0]
    while value.op == "call_module" and isinstance(modules.get(str(value.target)), RangeObserver):
        value = value.all_input_nodes[0]
    return value
