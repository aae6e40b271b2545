"""Converters that torch-tensorrt lacks for our graphs: Q/DQ pairs, output as bytes, padding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
import torchao.quantization.pt2e  # noqa: F401  # registers quantized_decomposed
from torch import Tensor
from torch.fx import GraphModule, Node

_aten = torch.ops.aten
_QUANTISE = torch.ops.quantized_decomposed.quantize_per_tensor.default
_DEQUANTISE = torch.ops.quantized_decomposed.dequantize_per_tensor.default
_DEQUANTISE_CHANNELS = torch.ops.quantized_decomposed.dequantize_per_channel.default

#: Name of our rule among torch-tensorrt's exceptions from constant folding.
_RULE = "roadseg_int8_weights"


@dataclass(frozen=True)
class Call:
    """One call of an operator that is converted.

    Attributes:
        trt: ``tensorrt`` or ``tensorrt_rtx``.
        context: torch-tensorrt's, with the network in ``net``.
        args: of the operator; tensors of the network for other operators' results, PyTorch tensors
            for weights.
        kwargs: likewise.
        name: for the layer with the result.
    """

    trt: ModuleType
    context: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    name: str

    def output(self, layer: Any) -> Any:
        """Name the last layer and return its output."""
        layer.name = self.name
        return layer.get_output(0)

    def constant(self, values: Tensor, what: str) -> Any:
        """Add ``values`` to the network."""
        name = f"{self.name}_{what}"
        values = values.detach().cpu().contiguous()
        self.context.record_weight(name, values)  # the network holds no copy of them
        weights = self.trt.Weights(values.numpy())
        layer = self.context.net.add_constant(tuple(values.shape), weights)
        layer.name = name
        return layer.get_output(0)


@dataclass(frozen=True)
class Converter:
    """How one operator becomes layers.

    Attributes:
        convert: adds the layers and returns the operator's result.
        takes: whether it can convert a call of the operator.
        first: use this before torch-tensorrt's own converters, not after them.
    """

    convert: Callable[[Call], Any]
    takes: Callable[[Node], bool]
    first: bool = False


@contextmanager
def registered(trt: ModuleType, torch_tensorrt: ModuleType) -> Iterator[None]:
    """Add our converters to torch-tensorrt's, and keep INT8 weights out of its constant folding.

    Folded weights would be floats, and the convolution not INT8.
    """
    registry = torch_tensorrt.dynamo.conversion._ConverterRegistry
    exclusions = torch_tensorrt.dynamo.lowering.constant_fold_exclusions
    with ExitStack() as added:
        for operator, converter in CONVERTERS.items():
            added.callback(
                _restore,
                registry.DYNAMO_ATEN_CONVERTERS,
                operator,
                list(registry.DYNAMO_ATEN_CONVERTERS.get(operator, ())),
            )
            registry.dynamo_tensorrt_converter(
                operator,
                capability_validator=_validator(converter),
                priority=registry.ConverterPriority["HIGH" if converter.first else "STANDARD"],
                supports_dynamic_shapes=True,
            )(_implementation(trt, converter))
        exclusions.register_constant_fold_exclusion_rule(_RULE)(_int8_weights)
        added.callback(exclusions.unregister_constant_fold_exclusion_rule, _RULE)
        yield


def share_dequantised(module: GraphModule) -> None:
    """Dequantise each tensor once; conversion to Q/DQ does so for each operation that reads it."""
    first: dict[Any, Node] = {}
    for node in list(module.graph.nodes):
        if node.target == _DEQUANTISE:
            same = first.setdefault((node.args, *node.kwargs.items()), node)
            if same is not node:
                node.replace_all_uses_with(same)
                module.graph.erase_node(node)
    module.recompile()


def _validator(converter: Converter) -> Callable[..., bool]:
    def validate(node: Node, settings: object = None) -> bool:
        return converter.takes(node)

    return validate


def _implementation(trt: ModuleType, converter: Converter) -> Callable[..., Any]:
    def implement(context: Any, target: object, *call: Any) -> Any:
        args, kwargs, name = call
        return converter.convert(Call(trt, context, args, kwargs, name))

    return implement


def _restore(table: dict[Any, Any], operator: Any, converters: list[Any]) -> None:
    if converters:
        table[operator] = converters
    else:
        table.pop(operator, None)


def _int8_weights(node: Node) -> list[Node]:
    return [node] if node.target in (_DEQUANTISE_CHANNELS, _DEQUANTISE) else []


def _quantise(call: Call) -> Any:
    """Convert quantize_per_tensor(x, scale, zero point, smallest, largest, type)."""
    x, scale = call.args[:2]
    steps = call.constant(torch.tensor(scale, dtype=torch.float32), "scale")
    return call.output(call.context.net.add_quantize(x, steps, call.trt.DataType.INT8))


def _dequantise(call: Call) -> Any:
    """Convert dequantize_per_tensor(x, scale, ...), out_dtype by keyword."""
    scale = torch.tensor(call.args[1], dtype=torch.float32)
    return call.output(_dequantised(call, scale))


def _dequantise_channels(call: Call) -> Any:
    """Convert dequantize_per_channel(x, scales, zero points, axis, ...), out_dtype by keyword."""
    layer = _dequantised(call, call.args[1].float())
    layer.axis = call.args[3]
    return call.output(layer)


def _dequantised(call: Call, scales: Tensor) -> Any:
    x = call.args[0]
    if isinstance(x, Tensor):
        x = call.constant(x, "levels")
    types = {torch.float32: call.trt.DataType.FLOAT, torch.float16: call.trt.DataType.HALF}
    floats = types[call.kwargs.get("out_dtype") or torch.float32]
    return call.context.net.add_dequantize(x, call.constant(scales, "scale"), floats)


def _to_bytes(call: Call) -> Any:
    """Convert _to_copy(x, dtype=uint8), which torch-tensorrt's own converter refuses."""
    return call.output(call.context.net.add_cast(call.args[0], call.trt.DataType.UINT8))


def _pad(call: Call) -> Any:
    """Convert constant_pad_nd(x, (left, right, top, bottom), value) to a slice beyond the edges.

    torch-tensorrt's own converter computes the sizes in the network, with 40 layers per padding.
    """
    x, edges = call.args[:2]
    befores, afters = edges[::2], edges[1::2]
    axes = [len(x.shape) - 1 - k for k in range(len(befores))]
    sizes = [
        x.shape[axis] + before + after
        for axis, before, after in zip(axes, befores, afters, strict=True)
    ]
    starts = [-before for before in befores]
    layer = call.context.net.add_slice(x, starts, sizes, [1] * len(axes))
    layer.axes = axes
    layer.mode = call.trt.SampleMode.FILL
    value = call.args[2] if len(call.args) > 2 else 0
    if value:
        types = {call.trt.DataType.FLOAT: torch.float32, call.trt.DataType.HALF: torch.float16}
        layer.set_input(4, call.constant(torch.tensor(value, dtype=types[x.dtype]), "value"))
    return call.output(layer)


def _is_symmetric_int8(node: Node) -> bool:
    zero_point = node.args[2]  # a number; for weights, which are symmetric, a tensor
    return (zero_point == 0 or isinstance(zero_point, Node)) and torch.int8 in node.args


def _pads_known_sizes(node: Node) -> bool:
    """Whether every size is known now, as all are after the resize."""
    x, edges = node.args[:2]
    assert isinstance(x, Node)
    assert isinstance(edges, (list, tuple))
    value = x.meta["val"]
    padded = value.shape[-(len(edges) // 2) :]
    known = all(isinstance(size, int) for size in (*edges, *padded))
    return known and value.dtype in (torch.float32, torch.float16)


#: Operator -> converter, in addition to those of torch-tensorrt.
CONVERTERS: Mapping[Any, Converter] = {
    _QUANTISE: Converter(_quantise, _is_symmetric_int8),
    _DEQUANTISE: Converter(_dequantise, _is_symmetric_int8),
    _DEQUANTISE_CHANNELS: Converter(_dequantise_channels, _is_symmetric_int8),
    _aten._to_copy.default: Converter(
        _to_bytes, lambda node: node.kwargs == {"dtype": torch.uint8}
    ),
    _aten.constant_pad_nd.default: Converter(_pad, _pads_known_sizes, first=True),
}
