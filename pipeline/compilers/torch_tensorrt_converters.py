"""Converters that torch-tensorrt lacks for our graphs: Q/DQ pairs, bytes out, and plain padding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

import torch
import torchao.quantization.pt2e  # noqa: F401  # registers quantized_decomposed
from torch import Tensor
from torch.fx import Node

_aten = torch.ops.aten
_quantised = torch.ops.quantized_decomposed

#: Name of our rule among torch-tensorrt's exceptions from constant folding.
_RULE = "roadseg_int8_weights"

#: Makes layers of ``context.net`` of one operator; returns its output.
Convert = Callable[[ModuleType, Any, tuple[Any, ...], Mapping[str, Any], str], Any]


@dataclass(frozen=True)
class Converter:
    """How one operator becomes layers.

    Attributes:
        convert: takes TensorRT's module, the conversion context, the operator's arguments with
            tensors of the network in place of its results, and a name for its layers.
        takes: whether a call of the operator can be converted so.
        first: ask this one before torch-tensorrt's own, not after them.
    """

    convert: Convert
    takes: Callable[[Node], bool] = lambda node: True
    first: bool = False


@contextmanager
def registered(trt: ModuleType) -> Iterator[None]:
    """Add our converters to torch-tensorrt's, and keep INT8 weights out of its constant folding.

    Folded, they were floats before TensorRT sees them, and the convolution would not be INT8.

    Args:
        trt: the module that the converters make layers with.
    """
    from torch_tensorrt.dynamo.conversion import _ConverterRegistry as registry
    from torch_tensorrt.dynamo.lowering import constant_fold_exclusions as exclusions

    table = registry.DYNAMO_ATEN_CONVERTERS
    with ExitStack() as added:
        for operator, converter in CONVERTERS.items():
            added.callback(_restore, table, operator, list(table.get(operator, ())))
            registry.dynamo_tensorrt_converter(
                operator,
                capability_validator=partial(_takes, converter),
                priority=registry.ConverterPriority["HIGH" if converter.first else "STANDARD"],
                supports_dynamic_shapes=True,
            )(partial(_convert, converter, trt))
        exclusions.register_constant_fold_exclusion_rule(_RULE)(_int8_weights)
        added.callback(exclusions.unregister_constant_fold_exclusion_rule, _RULE)
        yield


def _restore(table: dict[Any, Any], operator: Any, converters: list[Any]) -> None:
    if converters:
        table[operator] = converters
    else:
        table.pop(operator, None)


def _takes(converter: Converter, node: Node, settings: object = None) -> bool:
    return converter.takes(node)


def _convert(
    converter: Converter,
    trt: ModuleType,
    context: Any,
    target: object,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    name: str,
) -> Any:
    return converter.convert(trt, context, args, kwargs, name)


def _int8_weights(node: Node) -> list[Node]:
    return [node] if node.target in (_DEQUANTISE_CHANNELS, _DEQUANTISE) else []


def _quantise(
    trt: ModuleType, context: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], name: str
) -> Any:
    """Convert quantize_per_tensor(x, scale, zero point, smallest, largest, type)."""
    x, scale = args[:2]
    steps = _constant(trt, context, torch.tensor(scale, dtype=torch.float32), f"{name}_scale")
    layer = context.net.add_quantize(x, steps, trt.DataType.INT8)
    return _named(layer, name)


def _dequantise(
    trt: ModuleType, context: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], name: str
) -> Any:
    """Convert dequantize_per_tensor(x, scale, ...), out_dtype by keyword."""
    x, scale = args[:2]
    steps = torch.tensor(scale, dtype=torch.float32)
    return _named(_dequantised(trt, context, (x, steps), kwargs, name), name)


def _dequantise_channels(
    trt: ModuleType, context: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], name: str
) -> Any:
    """Convert dequantize_per_channel(x, scales, zero points, axis, ...), out_dtype by keyword."""
    x, scales, _, axis = args[:4]
    layer = _dequantised(trt, context, (x, scales.float()), kwargs, name)
    layer.axis = axis
    return _named(layer, name)


def _dequantised(
    trt: ModuleType,
    context: Any,
    operands: tuple[Any, Tensor],
    kwargs: Mapping[str, Any],
    name: str,
) -> Any:
    """Add the layer; ``operands`` are levels, of the network or constant, and scales."""
    x, scales = operands
    if isinstance(x, Tensor):
        x = _constant(trt, context, x, f"{name}_levels")
    types = {torch.float32: trt.DataType.FLOAT, torch.float16: trt.DataType.HALF}
    floats = types[kwargs.get("out_dtype") or torch.float32]
    return context.net.add_dequantize(x, _constant(trt, context, scales, f"{name}_scale"), floats)


def _to_bytes(
    trt: ModuleType, context: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], name: str
) -> Any:
    """Convert _to_copy(x, dtype=uint8), which torch-tensorrt's own converter refuses."""
    return _named(context.net.add_cast(args[0], trt.DataType.UINT8), name)


def _pad(
    trt: ModuleType, context: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], name: str
) -> Any:
    """Convert constant_pad_nd(x, (left, right, top, bottom), value) to a slice beyond the edges.

    torch-tensorrt's own converter computes the sizes in the network: 40 layers for each padding.
    """
    x, edges = args[:2]
    axes = [len(x.shape) - 1 - k for k in range(len(edges) // 2)]
    starts = [-before for before in edges[::2]]
    sizes = [
        x.shape[axis] + before + after
        for axis, before, after in zip(axes, edges[::2], edges[1::2], strict=True)
    ]
    layer = context.net.add_slice(x, starts, sizes, [1] * len(axes))
    layer.axes = axes
    layer.mode = trt.SampleMode.FILL
    value = args[2] if len(args) > 2 else 0
    if value:
        types = {trt.DataType.FLOAT: torch.float32, trt.DataType.HALF: torch.float16}
        fill = torch.tensor(value, dtype=types[x.dtype])
        layer.set_input(4, _constant(trt, context, fill, f"{name}_value"))
    return _named(layer, name)


def _constant(trt: ModuleType, context: Any, values: Tensor, name: str) -> Any:
    values = values.detach().cpu().contiguous()
    context.record_weight(name, values)  # the network points to them, and holds no copy
    layer = context.net.add_constant(tuple(values.shape), trt.Weights(values.numpy()))
    return _named(layer, name)


def _named(layer: Any, name: str) -> Any:
    layer.name = name
    return layer.get_output(0)


def _is_symmetric_int8(node: Node) -> bool:
    zero_point = node.args[2]
    return (zero_point == 0 or isinstance(zero_point, Node)) and torch.int8 in node.args


def _pads_known_edges(node: Node) -> bool:
    """Whether every size is a number that is known now, as behind the resize all are."""
    x, edges = node.args[:2]
    assert isinstance(x, Node)
    assert isinstance(edges, (list, tuple))
    padded = x.meta["val"].shape[-(len(edges) // 2) :]
    return all(isinstance(size, int) for size in (*edges, *padded))


_DEQUANTISE = _quantised.dequantize_per_tensor.default
_DEQUANTISE_CHANNELS = _quantised.dequantize_per_channel.default

#: Operator -> converter, beside those of torch-tensorrt.
CONVERTERS: Mapping[Any, Converter] = {
    _quantised.quantize_per_tensor.default: Converter(_quantise, _is_symmetric_int8),
    _DEQUANTISE: Converter(_dequantise, _is_symmetric_int8),
    _DEQUANTISE_CHANNELS: Converter(_dequantise_channels, _is_symmetric_int8),
    _aten._to_copy.default: Converter(
        _to_bytes, lambda node: node.kwargs == {"dtype": torch.uint8}
    ),
    _aten.constant_pad_nd.default: Converter(_pad, _pads_known_edges, first=True),
}
