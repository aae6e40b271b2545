"""The PyTorch computation of each kind of layer in a TensorRT network.

A rule takes the layer, its class set, and its operands, with None for missing ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorrt_rtx as trt
import torch
import torch.nn.functional as F
from torch import Tensor

_ELEMENTWISE: dict[Any, Callable[[Tensor, Tensor], Tensor]] = {
    trt.ElementWiseOperation.SUM: torch.add,
    trt.ElementWiseOperation.SUB: torch.sub,
    trt.ElementWiseOperation.PROD: torch.mul,
    trt.ElementWiseOperation.MAX: torch.maximum,
    trt.ElementWiseOperation.MIN: torch.minimum,
    trt.ElementWiseOperation.AND: torch.logical_and,
    trt.ElementWiseOperation.OR: torch.logical_or,
    trt.ElementWiseOperation.EQUAL: torch.eq,
    trt.ElementWiseOperation.GREATER: torch.gt,
    trt.ElementWiseOperation.LESS: torch.lt,
    trt.ElementWiseOperation.FLOOR_DIV: torch.floor_divide,
    trt.ElementWiseOperation.DIV: lambda a, b: (
        torch.div(a, b) if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")
    ),
}


class UnknownLayerError(Exception):
    """The interpreter has no rule for a layer or its settings."""


def _floats(*tensors: Tensor) -> list[Tensor]:
    return [t.float() if t.is_floating_point() else t for t in tensors]


def _weights(values: Any, shape: Sequence[int]) -> Tensor:
    return torch.from_numpy(values.copy()).reshape(tuple(shape)).float()


def activation(layer: Any, operands: list[Tensor]) -> list[Tensor]:
    (x,) = _floats(operands[0])
    if layer.type == trt.ActivationType.RELU:
        return [x.relu()]
    if layer.type == trt.ActivationType.CLIP:
        return [x.clamp(layer.alpha, layer.beta)]
    raise UnknownLayerError(f"activation {layer.type} ({layer.name})")


def cast(layer: Any, operands: list[Tensor]) -> list[Tensor]:
    return [operands[0]]  # the caller rounds to the output's type


def concatenation(layer: Any, operands: list[Tensor]) -> list[Tensor]:
    return [torch.cat(operands, layer.axis)]


def constant(layer: Any, operands: list[Tensor]) -> list[Tensor]:
    return [torch.from_numpy(layer.weights.copy()).reshape(tuple(layer.shape))]


def _filters(layer: Any, operands: list[Tensor], shape: Sequence[int]) -> tuple[Tensor, Any]:
    """Return kernel and bias, from the layer or from its second and third inputs."""
    if len(operands) > 1 and operands[0].dtype != operands[1].dtype:
        raise UnknownLayerError(
            f"{layer.name}: input {operands[0].dtype}, kernel {operands[1].dtype}"
        )
    kernel = operands[1].float() if len(operands) > 1 else _weights(layer.kernel, shape)
    if len(operands) > 2 and operands[2] is not None:
        return kernel, operands[2].float()
    return kernel, None if layer.bias.size == 0 else _weights(layer.bias, (-1,))


def convolution(layer: Any, operands: list[Tensor]) -> list[Tensor]:
    (x,) = _floats(operands[0])
    shape = (layer.num_output_maps, x.shape[1] // layer.num_groups, *layer.kernel_size_nd)
    kernel, bias = _filters(layer, operands, shape)
    (top, left), (bottom, right) = layer.pre_padding, layer.post_padding
    stride, dilation = tuple(layer.stride_nd), tuple(layer.dilation_nd)
    if (top, left) == (bottom, right):
        y = F.conv2d(x, kernel, bias, stride, (top, left), dilation, layer.num_groups)
    else:
        padded = F.pad(x, (left, right, top, bottom))
        y = F.conv2d(padded, kernel, bias, stride, 0, dilation, layer.num_groups)
    return [y]


def deconvolution(layer: Any, operands: list[Tensor]) -> list[Tensor]:
    (x,) = _floats(operands[0])
    shape = (x.shape[1], layer.num_output_maps // layer.num_groups, *layer.kernel_size_nd)
    kernel, bias = _filters(layer, operands, shape)
    (top, left), (bottom, right) = layer.pre_padding, layer.post_padding
    y = F.conv_transpose2d(x, kernel, bias, tuple(layer.stride_nd), groups=layer.num_groups)
    return [y[:, :, top : y.shape[2] - bottom, left : y.shape[3] - right]]


def dequantize(layer: Any, operands: list[Tensor]) -> list[Tensor]:
    levels, scale = _scaled(layer, operands)
    if levels.dtype != torch.int8:
        raise UnknownLayerError(f"dequantisation of {levels.dtype} ({layer.name})")
    return [levels.float() * scale]


def elementwise(layer: Any, operands: list[Tensor]) -> list[Tensor]:
    if layer.op not in _ELEMENTWISE:
        raise UnknownLayerError(f"elementwise {layer.op} ({layer.name})")
    return [_ELEMENTWISE[layer.op](*_floats(*operands))]


def gather(layer: Any, operands: list[Tensor]) -> list[Tensor]:
    if layer.mode != trt.GatherMode.DEFAULT or layer.num_elementwise_dims:
        raise UnknownLayerError(f"gather {layer.mode} ({layer.name})")
    values, indices = operands
    picked = values.index_select(layer.axis, indices.reshape(-1).long())
    before, after = values.shape[: layer.axis], values.shape[layer.axis + 1 :]
    return [picked.reshape(*before, *indices.shape, *after)]


def matrix_multiply(layer: Any, operands: list[Tensor]) -> list[Tensor]:
    sides = []
    for x, operation in zip(_floats(*operands), (layer.op0, layer.op1), strict=True):
        if operation == trt.MatrixOperation.VECTOR:
            raise UnknownLayerError(f"matrix times vector ({layer.name})")
        sides.append(x.transpose(-1, -2) if operation == trt.MatrixOperation.TRANSPOSE else x)
    return [sides[0] @ sides[1]]


def pooling(layer: Any, operands: list[Tensor]) -> list[Tensor]:
    (x,) = _floats(operands[0])
    window, stride = tuple(layer.window_size_nd), tuple(layer.stride_nd)
    (top, left), (bottom, right) = layer.pre_padding, layer.post_padding
    edges = (left, right, top, bottom)
    if layer.padding_mode != trt.PaddingMode.EXPLICIT_ROUND_DOWN:
        raise UnknownLayerError(f"pooling with {layer.padding_mode} ({layer.name})")
    if layer.type == trt.PoolingType.MAX:
        return [F.max_pool2d(F.pad(x, edges, value=-torch.inf), window, stride)]
    if layer.type == trt.PoolingType.AVERAGE:
        mean = F.avg_pool2d(F.pad(x, edges), window, stride)
        if layer.average_count_excludes_padding:
            mean = mean / F.avg_pool2d(F.pad(torch.ones_like(x), edges), window, stride)
        return [mean]
    raise UnknownLayerError(f"pooling {layer.type} ({layer.name})")


def quantize(layer: Any, operands: list[Tensor]) -> list[Tensor]:
    x, scale = _scaled(layer, operands)
    if layer.to_type != trt.DataType.INT8:
        raise UnknownLayerError(f"quantisation to {layer.to_type} ({layer.name})")
    # torch.round rounds halves to even, as TensorRT and ONNX do.
    return [(x.float() / scale).round().clamp(-128, 127)]


def _scaled(layer: Any, operands: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return a tensor and its scale: one number, or one per position along the axis."""
    x, scale = operands[:2]
    if layer.to_type != layer.get_output(0).dtype:
        raise UnknownLayerError(f"{layer.name}: {layer.to_type}, yet {layer.get_output(0).dtype}")
    if scale.dtype != torch.float32:
        raise UnknownLayerError(f"scale of {scale.dtype} ({layer.name})")
    if len(operands) > 2 and operands[2].any():
        raise UnknownLayerError(f"zero point that is not zero ({layer.name})")
    if scale.numel() == 1:
        return x, scale.reshape(())
    shape = [1] * x.ndim
    shape[layer.axis] = x.shape[layer.axis]
    return x, scale.reshape(shape)


def reduce(layer: Any, operands: list[Tensor]) -> list[Tensor]:
    (x,) = _floats(operands[0])
    axes = [axis for axis in range(x.ndim) if layer.axes >> axis & 1]
    rules = {
        trt.ReduceOperation.AVG: torch.mean,
        trt.ReduceOperation.SUM: torch.sum,
        trt.ReduceOperation.MAX: torch.amax,
    }
    if layer.op not in rules:
        raise UnknownLayerError(f"reduction {layer.op} ({layer.name})")
    return [rules[layer.op](x, axes, keepdim=layer.keep_dims)]


def resize(layer: Any, operands: list[Tensor]) -> list[Tensor]:
    (x,) = _floats(operands[0])
    size = operands[1].tolist() if len(operands) > 1 else layer.shape
    if size is None:
        size = [round(n * scale) for n, scale in zip(x.shape, layer.scales, strict=True)]
    if x.ndim != 4 or tuple(size[:2]) != tuple(x.shape[:2]):
        raise UnknownLayerError(f"resize of {tuple(x.shape)} to {size} ({layer.name})")
    coordinates = layer.coordinate_transformation
    mode = trt.ResizeCoordinateTransformation
    if layer.resize_mode == trt.InterpolationMode.LINEAR:
        corners = {mode.ALIGN_CORNERS: True, mode.HALF_PIXEL: False}.get(coordinates)
        if corners is None:
            raise UnknownLayerError(f"linear resize with {coordinates} ({layer.name})")
        return [F.interpolate(x, size=size[2:], mode="bilinear", align_corners=corners)]
    floored = layer.nearest_rounding == trt.ResizeRoundMode.FLOOR
    if layer.resize_mode == trt.InterpolationMode.NEAREST and floored:
        if coordinates != mode.ASYMMETRIC:
            raise UnknownLayerError(f"nearest resize with {coordinates} ({layer.name})")
        return [F.interpolate(x, size=size[2:], mode="nearest")]
    raise UnknownLayerError(f"resize {layer.resize_mode}, {layer.nearest_rounding} ({layer.name})")


def scale(layer: Any, operands: list[Tensor]) -> list[Tensor]:
    (x,) = _floats(operands[0])
    shape = [1] * x.ndim
    if layer.mode == trt.ScaleMode.CHANNEL:
        shape[layer.channel_axis] = -1
    elif layer.mode != trt.ScaleMode.UNIFORM:
        raise UnknownLayerError(f"scale {layer.mode} ({layer.name})")
    if layer.scale.size:
        x = x * _weights(layer.scale, shape)
    if layer.shift.size:
        x = x + _weights(layer.shift, shape)
    if layer.power.size and not bool((layer.power == 1).all()):
        raise UnknownLayerError(f"scale with a power ({layer.name})")
    return [x]


def select(layer: Any, operands: list[Tensor]) -> list[Tensor]:
    condition, kept, other = operands
    return [torch.where(condition, kept, other)]


def shape(layer: Any, operands: list[Tensor]) -> list[Tensor]:
    return [torch.tensor(operands[0].shape)]


def shuffle(layer: Any, operands: list[Tensor]) -> list[Tensor]:
    x = operands[0].permute(_permutation(layer.first_transpose, operands[0].ndim))
    if len(operands) > 1:
        size = operands[1].tolist()
    else:
        size = list(x.shape if layer.reshape_dims is None else layer.reshape_dims)
    if layer.zero_is_placeholder:
        size = [x.shape[k] if n == 0 else n for k, n in enumerate(size)]
    x = x.reshape(size)
    return [x.permute(_permutation(layer.second_transpose, x.ndim))]


def _permutation(permutation: Any, rank: int) -> list[int]:
    return [permutation[k] for k in range(rank)]


def slice_(layer: Any, operands: list[Tensor]) -> list[Tensor]:
    x = operands[0]
    given = [layer.start, layer.shape, layer.stride]  # None where it is an input
    for k, operand in enumerate(operands[1:4]):
        if operand is not None:
            given[k] = operand.tolist()
    if layer.mode == trt.SampleMode.FILL:
        fill = operands[4].item() if len(operands) > 4 and operands[4] is not None else 0
    elif layer.mode == trt.SampleMode.STRICT_BOUNDS:
        fill = None
    else:
        raise UnknownLayerError(f"slice {layer.mode} ({layer.name})")
    axes = layer.axes if len(operands) < 6 else operands[5].tolist()
    if not axes:
        axes = range(x.ndim)
    for axis, start, count, step in zip(axes, *given, strict=True):
        places = torch.arange(count) * step + start
        outside = (places < 0) | (places >= x.shape[axis])
        if fill is None and outside.any():
            raise UnknownLayerError(f"slice beyond its input ({layer.name})")
        x = x.index_select(axis, places.clamp(0, x.shape[axis] - 1))
        if outside.any():
            x = x.index_fill(axis, outside.nonzero().flatten(), fill)
    return [x]


def squeeze(layer: Any, operands: list[Tensor]) -> list[Tensor]:
    return [operands[0].squeeze(tuple(operands[1].tolist()))]


def topk(layer: Any, operands: list[Tensor]) -> list[Tensor]:
    (x,) = _floats(operands[0])
    axis = layer.axes.bit_length() - 1
    if layer.op != trt.TopKOperation.MAX or layer.k != 1 or layer.axes != 1 << axis:
        raise UnknownLayerError(f"top-k {layer.op}, k = {layer.k} ({layer.name})")
    values, indices = x.max(axis, keepdim=True)
    return [values, indices]
