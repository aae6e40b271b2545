"""Convolutions, poolings and norms: operators with weights or windows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.graph.onnx_import.call import Call, Operator
from pipeline.graph.onnx_import.operators.shapes import pad, slice_of
from pipeline.graph.onnx_import.operators.unpooling import Positions, pool_with_positions

Pair = tuple[int, int]
Layer = nn.Conv2d | nn.ConvTranspose2d


def layer_name(call: Call) -> str:
    """Return a layer's name in the network.

    ``encoder.0.weight`` gives ``encoder.0``. Exporters that fold batch norms rename the weights;
    then it is the node's own name: ``/encoder/encoder.0/conv/Conv`` gives ``encoder.0.conv``.
    """
    weight: str = call.node.input[1]
    if weight.endswith(".weight"):
        return weight.removesuffix(".weight")
    parts = [part for part in (call.node.name or call.node.output[0]).split("/") if part]
    if len(parts) > 1 and parts[-1].startswith(call.node.op_type):
        parts.pop()
    path: list[str] = []
    for part in parts:
        if path and part.startswith(f"{path[-1]}."):
            path.pop()
        path.append(part)
    return ".".join(path)


def _weights(call: Call, *indices: int) -> list[Tensor | None]:
    """Return copies of inputs, since two layers may share one in the file."""
    found = [call.constant(index) for index in indices]
    return [None if value is None else value.clone() for value in found]


def _window(call: Call, kernel: Sequence[int]) -> tuple[Pair, Pair, list[Pair]]:
    """Return strides, dilations and (before, after) padding of two dimensions."""
    strides = tuple(call.attribute("strides", (1, 1)))
    dilations = tuple(call.attribute("dilations", (1, 1)))
    given = call.attribute("pads", (0, 0, 0, 0))
    pads = [(given[0], given[2]), (given[1], given[3])]
    how = call.attribute("auto_pad", "NOTSET")
    if how == "VALID":
        pads = [(0, 0), (0, 0)]
    elif how in {"SAME_UPPER", "SAME_LOWER"}:
        sides = zip(call.x.shape[2:], kernel, strides, dilations, strict=True)
        pads = [_halves(_same_padding(*side), how) for side in sides]
    return (strides[0], strides[1]), (dilations[0], dilations[1]), pads


def _same_padding(size: int, kernel: int, stride: int, dilation: int) -> int:
    """How much padding gives ceil(size / stride) outputs."""
    return max((-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)


def _halves(total: int, how: str) -> Pair:
    less = total // 2
    return (less, total - less) if how == "SAME_UPPER" else (total - less, less)


def _need_pictures(call: Call) -> None:
    if call.x.ndim != 4:
        raise call.refused(f"its input has {call.x.ndim} dimensions", "4: pictures, channels, H, W")


def _convolution(call: Call) -> Any:
    _need_pictures(call)
    weight, bias = _weights(call, 1, 2)
    assert weight is not None
    strides, dilations, pads = _window(call, weight.shape[2:])
    groups = call.attribute("group", 1)
    if all(before == after for before, after in pads):
        x, padding = call.x, (pads[0][0], pads[1][0])
    else:
        x, padding = pad(call.x, [(0, 0), (0, 0), *pads]), (0, 0)
    kernel = (weight.shape[2], weight.shape[3])
    layer = nn.Conv2d(
        weight.shape[1] * groups, weight.shape[0], kernel, strides, padding, dilations, groups,
        bias=bias is not None, device="meta",
    )  # fmt: skip
    return _record(call, layer, weight, bias, x)


def _record(call: Call, layer: Layer, weight: Tensor, bias: Tensor | None, x: Any) -> Any:
    layer.weight = nn.Parameter(weight)
    layer.bias = bias if bias is None else nn.Parameter(bias)
    return call.recorder.layer(layer_name(call), layer, x)


def _transposed(call: Call) -> Any:
    _need_pictures(call)
    weight, bias = _weights(call, 1, 2)
    assert weight is not None
    kernel = (weight.shape[2], weight.shape[3])
    groups = call.attribute("group", 1)
    strides, dilations, pads = _window(call, kernel)
    extra = list(call.attribute("output_padding", (0, 0)))
    wanted = call.attribute("output_shape")
    how = call.attribute("auto_pad", "NOTSET")
    if wanted is None and how in {"SAME_UPPER", "SAME_LOWER"}:
        wanted = [size * stride for size, stride in zip(call.x.shape[2:], strides, strict=True)]
    if wanted is not None:
        for side, size in enumerate(wanted[-2:]):
            reach = (kernel[side] - 1) * dilations[side] + 1
            total = strides[side] * (call.x.shape[2 + side] - 1) + extra[side] + reach - size
            extra[side] += max(-total, 0)
            pads[side] = _halves(max(total, 0), how)
    least = (min(pads[0]), min(pads[1]))
    layer = nn.ConvTranspose2d(
        weight.shape[0], weight.shape[1] * groups, kernel, strides, least, (extra[0], extra[1]),
        groups, bias=bias is not None, dilation=dilations, device="meta",
    )  # fmt: skip
    y = _record(call, layer, weight, bias, call.x)
    for axis, (before, after) in enumerate(pads, start=2):  # PyTorch crops both sides alike
        y = slice_of(y, axis, before - least[axis - 2], y.shape[axis] - after + least[axis - 2])
    return y


def _max_pool(call: Call) -> Any:
    _need_pictures(call)
    kernel = tuple(call.attribute("kernel_shape"))
    strides, dilations, pads = _window(call, kernel)
    positions = Positions(call.x.shape[2:])
    plain = not any(pads[0] + pads[1]) and not call.attribute("ceil_mode", 0)
    if plain and kernel == strides == (2, 2) and any(call.node.output[1:]):
        return pool_with_positions(call)
    pads = _reached(call, kernel, pads)
    padding = (0, 0)
    x = call.x
    if all(b == a and 2 * b <= k for (b, a), k in zip(pads, kernel, strict=True)):
        padding = (pads[0][0], pads[1][0])
    else:
        # A window beyond the edge also holds the edge, so copies of it change no maximum; and
        # unlike minus infinity they can be represented in every precision.
        x = pad(x, [(0, 0), (0, 0), *pads], "replicate")
    return F.max_pool2d(x, kernel, strides, padding, dilations), positions


def _reached(call: Call, kernel: Sequence[int], pads: list[Pair]) -> list[Pair]:
    """Widen the padding by what the last windows reach beyond it, with ``ceil_mode``."""
    if not call.attribute("ceil_mode", 0):
        return pads
    strides, dilations, _ = _window(call, kernel)
    reached = []
    for side, (before, after) in enumerate(pads):
        size, reach = call.x.shape[2 + side], (kernel[side] - 1) * dilations[side] + 1
        count = -(-(size + before + after - reach) // strides[side]) + 1
        if (count - 1) * strides[side] >= size + before:  # a window that holds padding alone
            count -= 1
        end = (count - 1) * strides[side] + reach
        reached.append((before, max(after, end - size - before)))
    return reached


def _average_pool(call: Call) -> Any:
    _need_pictures(call)
    kernel = tuple(call.attribute("kernel_shape"))
    strides, dilations, pads = _window(call, kernel)
    if dilations != (1, 1):
        raise call.refused("it is a dilated average", "windows without gaps")
    reached = _reached(call, kernel, pads)
    counted = bool(call.attribute("count_include_pad", 0))
    if reached == [(0, 0), (0, 0)]:
        return F.avg_pool2d(call.x, kernel, strides)
    # The average counts padded zeros; multiplying by (window / counted values) corrects that.
    y = F.avg_pool2d(pad(call.x, [(0, 0), (0, 0), *reached]), kernel, strides)
    ones = torch.ones((1, 1, *call.x.shape[2:]))
    ones = pad(ones, [(0, 0), (0, 0), *pads], value=1.0 if counted else 0.0)
    rest = [(0, r - a) for (_, r), (_, a) in zip(reached, pads, strict=True)]
    share = F.avg_pool2d(pad(ones, [(0, 0), (0, 0), *rest]), kernel, strides)
    return y if bool((share == 1).all()) else y * (1 / share)


def _global(function: Any) -> Operator:
    return lambda call: function(call.x, list(range(2, call.x.ndim)), keepdim=True)


def _batch_norm(call: Call) -> Any:
    if call.attribute("training_mode", 0):
        raise call.refused("it was exported in training mode", "inference: export after .eval()")
    scale, bias, mean, variance = _weights(call, 1, 2, 3, 4)
    assert scale is not None
    layer = nn.BatchNorm2d(len(scale), call.attribute("epsilon", 1e-5), device="meta")
    layer.weight, layer.bias = nn.Parameter(scale), nn.Parameter(bias)  # type: ignore[arg-type]
    layer.running_mean, layer.running_var = mean, variance
    layer.num_batches_tracked = None
    _need_pictures(call)
    return call.recorder.layer(layer_name(call), layer.eval(), call.x)


def _instance_norm(call: Call) -> Any:
    # A group norm with a group per channel is the same, and is exported as it is.
    _, scale, bias = call.inputs
    return F.group_norm(call.x, call.x.shape[1], scale, bias, call.attribute("epsilon", 1e-5))


def _group_norm(call: Call) -> Any:
    groups, (_, scale, bias) = call.attribute("num_groups"), call.inputs
    if call.opset < 21:  # one value per group
        each = call.x.shape[1] // groups
        scale, bias = scale.repeat_interleave(each), bias.repeat_interleave(each)
    return F.group_norm(call.x, groups, scale, bias, call.attribute("epsilon", 1e-5))


def _layer_norm(call: Call) -> Any:
    sizes = call.x.shape[call.attribute("axis", -1) :]
    scale, bias = call.input(1), call.input(2)
    assert math.prod(sizes) == scale.numel()
    bias = None if bias is None else bias.reshape(sizes)
    return F.layer_norm(call.x, sizes, scale.reshape(sizes), bias, call.attribute("epsilon", 1e-5))


def _local_response_norm(call: Call) -> Any:
    alpha, beta = call.attribute("alpha", 1e-4), call.attribute("beta", 0.75)
    return F.local_response_norm(
        call.x, call.attribute("size"), alpha, beta, call.attribute("bias", 1.0)
    )


def _grid_sample(call: Call) -> Any:
    mode = call.attribute("mode", "linear")
    return F.grid_sample(
        call.x,
        call.inputs[1],
        {"linear": "bilinear", "cubic": "bicubic"}.get(mode, mode),
        call.attribute("padding_mode", "zeros"),
        bool(call.attribute("align_corners", 0)),
    )


OPERATORS: dict[str, Operator] = {
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "Conv": _convolution,
    "ConvTranspose": _transposed,
    "GlobalAveragePool": _global(torch.mean),
    "GlobalMaxPool": _global(torch.amax),
    "GridSample": _grid_sample,
    "GroupNormalization": _group_norm,
    "InstanceNormalization": _instance_norm,
    "LRN": _local_response_norm,
    "LayerNormalization": _layer_norm,
    "MaxPool": _max_pool,
}
