"""Shapes, types and the order of values.

The first dimension of tensors that depend on the picture is the number of pictures. It is recorded
as ``-1``, so that a network that was exported for one picture takes several.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from onnx import TensorProto, helper
from torch import Tensor

from pipeline.graph.onnx_import.call import Call, Operator, tensor_from
from pipeline.graph.onnx_import.recorder import Value, is_recorded

_PAD_MODES = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}


def reshape(x: Any, target: list[int]) -> Any:
    """Reshape ``x`` to ``target``: known sizes, for one picture."""
    if isinstance(x, Value) and x.node.target is torch.reshape:
        x = x.tracer.proxy(x.node.args[0])  # type: ignore[arg-type]
    if list(x.shape) == target:
        return x
    return torch.reshape(x, (-1, *target[1:]) if isinstance(x, Value) and target else target)


def transpose(x: Any, order: list[int]) -> Any:
    """Permute dimensions; two permutations in a row become one, or none where they cancel."""
    if isinstance(x, Value) and x.node.target is torch.permute:
        inner, first = x.node.args[0], x.node.args[1]
        order = [first[axis] for axis in order]  # type: ignore[index,misc]
        x = x.tracer.proxy(inner)  # type: ignore[arg-type]
    return x if order == list(range(len(order))) else torch.permute(x, order)


def pad(x: Any, pads: list[tuple[int, int]], mode: str = "constant", value: float = 0.0) -> Any:
    """Pad, or crop where a number is negative.

    ``pads`` is (before, after) per dimension of ``x``; ``mode`` and ``value`` are ``F.pad``'s.
    """
    if not any(side for pair in pads for side in pair):
        return x
    while len(pads) > 2 and pads[0] == (0, 0):  # other modes than constant want two pairs
        pads = pads[1:]
    flat = [side for pair in reversed(pads) for side in pair]
    return F.pad(x, flat, value=value) if mode == "constant" else F.pad(x, flat, mode)


def slice_of(x: Any, axis: int, first: int, end: int, step: int = 1) -> Any:
    """Return ``first`` to ``end`` of one dimension, as Python would slice it."""
    size = x.shape[axis]
    axis %= x.ndim
    if step < 0:
        return torch.index_select(x, axis, torch.tensor(range(size)[first:end:step]))
    # Explicit ends: open ones are exported as shape computations, hundreds of layers of them.
    first, end, step = slice(first, end, step).indices(size)
    if (first, end, step) == (0, size, 1):
        return x
    return x[(slice(None),) * axis + (slice(first, end, step),)]


def _shape(call: Call) -> Any:
    sizes = list(call.x.shape)
    return torch.tensor(sizes[call.attribute("start", 0) : call.attribute("end", len(sizes))])


def _constant(call: Call) -> Any:
    if call.attribute("value") is not None:
        return tensor_from(call.attribute("value"))
    for name in ("value_float", "value_floats", "value_int", "value_ints"):
        if call.attribute(name) is not None:
            return torch.tensor(call.attribute(name))
    raise call.refused("it holds text or a sparse tensor", "a dense one")


def _constant_of_shape(call: Call) -> Any:
    value = call.attribute("value")
    fill = torch.zeros(1) if value is None else tensor_from(value)
    return fill.reshape(()).repeat(call.numbers(0) or ())


def _reshape(call: Call) -> Any:
    target = [int(size) for size in call.numbers(1, "shape") or ()]
    if not call.attribute("allowzero", 0):
        target = [call.x.shape[i] if size == 0 else size for i, size in enumerate(target)]
    if -1 in target:
        known = -math.prod(target)
        target[target.index(-1)] = math.prod(call.x.shape) // known if known else 0
    if math.prod(target) != math.prod(call.x.shape):
        raise call.refused(
            f"it reshapes {tuple(call.x.shape)} to {tuple(target)}",
            "as many values; for one picture of this --size",
        )
    return reshape(call.x, target)


def _flatten(call: Call) -> Any:
    axis = call.attribute("axis", 1)
    axis = axis + call.x.ndim if axis < 0 else axis
    sizes = call.x.shape
    return reshape(call.x, [math.prod(sizes[:axis]), math.prod(sizes[axis:])])


def _squeeze(call: Call) -> Any:
    axes = call.numbers(1, "axes")
    if axes is None:
        axes = [axis for axis, size in enumerate(call.x.shape) if size == 1]
    return torch.squeeze(call.x, tuple(int(axis) for axis in axes)) if axes else call.x


def _unsqueeze(call: Call) -> Any:
    axes = [int(axis) for axis in call.numbers(1, "axes") or ()]
    rank = call.x.ndim + len(axes)
    x = call.x
    for axis in sorted(axis % rank for axis in axes):
        x = torch.unsqueeze(x, axis)
    return x


def _transpose(call: Call) -> Any:
    return transpose(call.x, list(call.attribute("perm", range(call.x.ndim)[::-1])))


def _split(call: Call) -> Any:
    axis = call.attribute("axis", 0)
    size = call.x.shape[axis]
    sizes = call.numbers(1, "split")
    if sizes is None:
        count = len(call.node.output)
        part = -(-size // count)
        sizes = [min(part, size - part * i) for i in range(count)]
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    return tuple(
        slice_of(call.x, axis, int(end - n), int(end)) for n, end in zip(sizes, ends, strict=True)
    )


def _slice(call: Call) -> Any:
    starts, ends = call.numbers(1, "starts") or [], call.numbers(2, "ends") or []
    axes = call.numbers(3, "axes") or list(range(len(starts)))
    steps = call.numbers(4) or [1] * len(starts)
    x = call.x
    for axis, first, end, step in zip(axes, starts, ends, steps, strict=True):
        x = slice_of(x, int(axis), int(first), int(end), int(step))
    return x


def _gather(call: Call) -> Any:
    axis = call.attribute("axis", 0) % call.x.ndim
    indices = call.constant(1)
    assert indices is not None
    size = call.x.shape[axis]
    indices = torch.where(indices < 0, indices + size, indices)
    if indices.ndim == 0:
        return torch.select(call.x, axis, int(indices))
    picked = torch.index_select(call.x, axis, indices.reshape(-1))
    sizes = [*call.x.shape[:axis], *indices.shape, *call.x.shape[axis + 1 :]]
    return picked if indices.ndim == 1 else reshape(picked, sizes)


def _expand(call: Call) -> Any:
    wanted = [int(size) for size in call.numbers(1) or ()]
    new = max(0, len(wanted) - call.x.ndim)
    wanted = [1] * (call.x.ndim - len(wanted)) + wanted
    own = [1] * new + list(call.x.shape)
    sizes = [
        size if axis < new or size not in {1, own[axis]} else -1 for axis, size in enumerate(wanted)
    ]
    return call.x if set(sizes) <= {-1} else call.x.expand(sizes)


def _concatenate(call: Call) -> Any:
    axis = call.attribute("axis", 1)
    leader = next((one for one in call.inputs if isinstance(one, Value)), None)
    parts = list(call.inputs)
    if leader is not None and axis % leader.ndim:
        parts = [
            call.recorder.call(repeated, one, leader) if isinstance(one, Tensor) else one
            for one in parts
        ]
    return torch.cat(parts, axis)


def repeated(constant: Tensor, pictures: Tensor) -> Tensor:
    """Repeat a file's constant for one picture once for each picture of a batch."""
    return constant.expand(pictures.shape[0], *constant.shape[1:])


def _range(call: Call) -> Any:
    start, end, step = (call.constant(i) for i in range(3))
    assert start is not None
    assert end is not None
    assert step is not None
    return torch.arange(start.item(), end.item(), step.item(), dtype=start.dtype)


def _pad(call: Call) -> Any:
    mode = call.attribute("mode", "constant")
    if mode not in _PAD_MODES:
        raise call.refused(f"its mode is {mode}", f"one of {', '.join(_PAD_MODES)}")
    given = [int(side) for side in call.numbers(1, "pads" if call.opset < 11 else None) or ()]
    axes = [int(axis) % call.x.ndim for axis in call.numbers(3) or range(call.x.ndim)]
    before, after = given[: len(axes)], given[len(axes) :]
    pads = [(0, 0)] * call.x.ndim
    for axis, first, last in zip(axes, before, after, strict=True):
        pads[axis] = (first, last)
    value = call.number(2, "value" if call.opset < 11 else None, 0.0)
    return pad(call.x, pads, _PAD_MODES[mode], float(value))


def _depth_to_space(call: Call) -> Any:
    block = call.attribute("blocksize")
    if call.attribute("mode", "DCR") == "CRD":
        return F.pixel_shuffle(call.x, block)
    n, channels, height, width = call.x.shape
    inner = channels // block**2
    x = reshape(call.x, [n, block, block, inner, height, width])
    x = torch.permute(x, [0, 3, 4, 1, 5, 2])
    return reshape(x, [n, inner, height * block, width * block])


def _space_to_depth(call: Call) -> Any:
    block = call.attribute("blocksize")
    n, channels, height, width = call.x.shape
    x = reshape(call.x, [n, channels, height // block, block, width // block, block])
    x = torch.permute(x, [0, 3, 5, 1, 2, 4])
    return reshape(x, [n, channels * block**2, height // block, width // block])


def _cast_like(call: Call) -> Any:
    kind = helper.np_dtype_to_tensor_dtype(torch.empty(0, dtype=call.inputs[1].dtype).numpy().dtype)
    return _cast_to(call.x, kind)


def _cast_to(x: Any, kind: int) -> Any:
    array = helper.tensor_dtype_to_np_dtype(kind)
    if kind == TensorProto.BFLOAT16 or array.kind == "f":
        if x.dtype.is_floating_point:
            return x  # one floating-point type in the whole network, chosen by the build
        return torch.mul(x, torch.ones(())) if is_recorded(x) else x.float()
    if array.kind == "b":
        return x != 0
    # Tensors of sizes hold 64 bits, whatever the file says.
    return x.to(torch.int64)


def _same(call: Call) -> Any:
    return call.x


OPERATORS: dict[str, Operator] = {
    "Cast": lambda call: _cast_to(call.x, call.attribute("to")),
    "CastLike": _cast_like,
    "Concat": _concatenate,
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "CumSum": lambda call: torch.cumsum(call.x, int(call.number(1, None, 0))),
    "DepthToSpace": _depth_to_space,
    "Dropout": _same,
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "GatherElements": lambda call: torch.gather(call.x, call.attribute("axis", 0), call.inputs[1]),
    "Identity": _same,
    "Pad": _pad,
    "Range": _range,
    "Reshape": _reshape,
    "Shape": _shape,
    "Size": lambda call: torch.tensor(math.prod(call.x.shape)),
    "Slice": _slice,
    "SpaceToDepth": _space_to_depth,
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": lambda call: torch.tile(call.x, [int(n) for n in call.numbers(1) or ()]),
    "Transpose": _transpose,
    "Trilu": lambda call: (torch.triu if call.attribute("upper", 1) else torch.tril)(
        call.x, int(call.number(1, None, 0))
    ),
    "Unsqueeze": _unsqueeze,
    "Where": lambda call: torch.where(*call.inputs),
}
