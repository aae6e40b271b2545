"""Rules: the interval of an operator's inputs that an interval of its outputs needs, on one axis.

A rule maps the first and last index of the result to the first and last index of the inputs, on
maps without borders; ``models.receptive_field`` chains the rules. An operator without a rule is an
error, unless PyTorch tags it as element by element.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch._ops import OpOverload
from torch.fx import Node

from models.errors import ModelError

_ATEN = torch.ops.aten


@dataclass(frozen=True)
class Span:
    """First and last index along one axis, one entry per output position."""

    first: NDArray[np.int64]
    last: NDArray[np.int64]

    def joined(self, other: Span | None) -> Span:
        if other is None:
            return self
        return Span(np.minimum(self.first, other.first), np.maximum(self.last, other.last))


class Call:
    """An operator of the graph and one axis of its result, counted from the last (-1)."""

    def __init__(self, node: Node, axis: int) -> None:
        assert isinstance(node.target, OpOverload)
        self.node = node
        self.axis = axis
        names = node.target._schema.arguments
        self._arguments: dict[str, Any] = {a.name: a.default_value for a in names}
        self._arguments.update(zip(self._arguments, node.args, strict=False))
        self._arguments.update(node.kwargs)

    def __getitem__(self, name: str) -> Any:
        return self._arguments[name]

    def along(self, name: str) -> int:
        """Return an argument's value for this axis; it is (rows, columns), or one for both."""
        value = self[name]
        if isinstance(value, int):
            return value
        return int(value[self.axis] if len(value) == 2 else value[0])

    def size(self, argument: str | None = None) -> int:
        """Extent along the axis of the result, or of a tensor argument."""
        return shape_of(self.node if argument is None else self[argument])[self.axis]

    def is_along(self, dimension: int, argument: str) -> bool:
        """Whether a dimension of a tensor argument, counted as in PyTorch, is this axis."""
        rank = len(shape_of(self[argument]))
        return dimension % rank == rank + self.axis

    def refused(self, reason: str) -> ModelError:
        return ModelError(
            f"the receptive field stops at {self.node.name!r}: {self.node.target} {reason}; write "
            "it with operators that have a rule, or add one to models/receptive_rules.py"
        )


def shape_of(node: Node) -> tuple[int, ...]:
    value = node.meta["val"]
    assert isinstance(value, Tensor)
    return tuple(value.shape)


def source_axis(node: Node, axis: int) -> int:
    """Return the axis of an operator's inputs that becomes ``axis`` of its result."""
    rule = _AXES.get(node.target)
    return axis if rule is None else rule(Call(node, axis))


def sources_span(node: Node, axis: int, span: Span) -> Span | None:
    """Return the span of an operator's inputs for ``span``; None for the whole picture."""
    target = node.target
    if not isinstance(target, OpOverload):
        raise ModelError(
            f"the receptive field stops at {node.name!r}: {target} is no tensor operator; write "
            "the network without it"
        )
    call = Call(node, axis)
    if target in _RULES:
        return _RULES[target](call, span)
    if torch.Tag.pointwise in target.tags:
        return span
    raise call.refused("has no rule")


def _same(call: Call, span: Span) -> Span:
    """Element by element: norms, dropout, copies; concatenation of channels; repetition."""
    return span


def _everything(call: Call, span: Span) -> None:
    """Pooling over the whole picture, or over a grid of its parts."""


def _window(call: Call, span: Span, kernel: int, dilation: int, padding: int) -> Span:
    stride = call.along("stride") if call["stride"] else kernel  # as poolings default
    first = span.first * stride - padding
    return Span(first, span.last * stride - padding + (kernel - 1) * dilation)


def _convolution(call: Call, span: Span) -> Span:
    kernel, dilation, padding = call.size("weight"), call.along("dilation"), call["padding"]
    if isinstance(padding, str):
        before = dilation * (kernel - 1) // 2 if padding == "same" else 0
    else:
        before = call.along("padding")
    return _window(call, span, kernel, dilation, before)


def _transposed_convolution(call: Call, span: Span) -> Span:
    kernel, stride, padding = call.size("weight"), call.along("stride"), call.along("padding")
    if call.along("dilation") != 1 or kernel < stride:
        raise call.refused("is dilated, or its stride exceeds its kernel: outputs without input")
    # Output i takes kernel element i + padding - stride * j of input j.
    first = -((kernel - 1 - padding - span.first) // stride)
    return Span(first, (span.last + padding) // stride)


def _max_pooling(call: Call, span: Span) -> Span:
    dilation, padding = call.along("dilation"), call.along("padding")
    return _window(call, span, call.along("kernel_size"), dilation, padding)


def _average_pooling(call: Call, span: Span) -> Span:
    return _window(call, span, call.along("kernel_size"), 1, call.along("padding"))


def _concatenation(call: Call, span: Span) -> Span:
    rank = len(shape_of(call.node))
    if call["dim"] % rank == rank + call.axis:
        raise call.refused("joins maps along rows or columns")
    return span


def _slice(call: Call, span: Span) -> Span:
    if not call.is_along(call["dim"], "self"):
        return span
    extent, start, step = call.size("self"), call["start"] or 0, call["step"]
    start = min(max(start + extent if start < 0 else start, 0), extent)
    return Span(span.first * step + start, span.last * step + start)


def _permuted_axis(call: Call) -> int:
    dimensions = call["dims"]
    return int(dimensions[call.axis]) % len(dimensions) - len(dimensions)


#: Rows and columns of maps, (N, H, W, C), and of their windows, (N, H / k, k, W / l, l, C).
_TO_WINDOWS = {-3: -5, -2: -3}
_FROM_WINDOWS = {-5: -3, -3: -2}


def _reshaped_axis(call: Call) -> int:
    before, after = shape_of(call["self"]), shape_of(call.node)
    windows, whole = (before, after) if len(before) == 6 else (after, before)
    if len(windows) == 6 and whole[1:] == (
        windows[1] * windows[2],
        windows[3] * windows[4],
        windows[5],
    ):
        axes = _TO_WINDOWS if windows is before else _FROM_WINDOWS
        if call.axis in axes:
            return axes[call.axis]
    raise call.refused(f"makes {list(after)} of {list(before)}")


def _reshape(call: Call, span: Span) -> Span:
    """Between maps and their windows, channels last."""
    axis = _reshaped_axis(call)
    before, after = shape_of(call["self"]), shape_of(call.node)
    if len(after) == 6:
        side = after[call.axis + 1]
        return Span(span.first * side, span.last * side + side - 1)
    side = before[axis + 1]
    return Span(span.first // side, span.last // side)


def _pad(call: Call, span: Span) -> Span:
    """Constants around a map; negative widths cut it."""
    if call["mode"] != "constant":
        raise call.refused(f"pads by {call['mode']!r}")
    place = 2 * (-1 - call.axis)  # (left, right, top, bottom, ...)
    before = call["pad"][place] if place < len(call["pad"]) else 0
    return Span(span.first - before, span.last - before)


def _mean(call: Call, span: Span) -> Span | None:
    dimensions = call["dim"] or range(len(shape_of(call["self"])))
    if any(call.is_along(dimension, "self") for dimension in dimensions):
        return None
    return span


def _step(call: Call) -> Fraction:
    """Input pixels per output pixel of a resize with half-pixel centres or by neighbours."""
    if call["scale_factors"]:  # PyTorch uses the factor, not the resulting sizes
        return 1 / Fraction(call["scale_factors"][call.axis])
    return Fraction(call.size("input"), call.size())


def _nearest(call: Call, span: Span) -> Span:
    step = _step(call)
    part, whole = step.numerator, step.denominator
    return Span(span.first * part // whole, span.last * part // whole)


def _bilinear(call: Call, span: Span) -> Span:
    if call["align_corners"]:
        step = Fraction(call.size("input") - 1, max(call.size() - 1, 1))
        shift = Fraction(0)
    else:
        step = _step(call)
        shift = (step - 1) / 2
    # The source of output i is step * i + shift: between its floor and its ceiling.
    whole = step.denominator * shift.denominator
    part, offset = int(step * whole), int(shift * whole)
    return Span((span.first * part + offset) // whole, -((-span.last * part - offset) // whole))


_RULES: Mapping[OpOverload, Callable[[Call, Span], Span | None]] = {
    _ATEN.conv2d.default: _convolution,
    _ATEN.conv2d.padding: _convolution,
    _ATEN.conv_transpose2d.input: _transposed_convolution,
    _ATEN.max_pool2d.default: _max_pooling,
    _ATEN.avg_pool2d.default: _average_pooling,
    _ATEN.upsample_nearest2d.vec: _nearest,
    _ATEN.upsample_bilinear2d.vec: _bilinear,
    _ATEN.slice.Tensor: _slice,
    _ATEN.reshape.default: _reshape,
    _ATEN.permute.default: _same,
    _ATEN.pad.default: _pad,
    _ATEN.cat.default: _concatenation,
    _ATEN.batch_norm.default: _same,
    _ATEN.dropout.default: _same,
    _ATEN.feature_dropout.default: _same,
    _ATEN.expand.default: _same,
    _ATEN.mean.dim: _mean,
    _ATEN.adaptive_avg_pool2d.default: _everything,
    _ATEN.matmul.default: _everything,
}

#: Operators that move rows and columns to other axes.
_AXES: Mapping[Any, Callable[[Call], int]] = {
    _ATEN.reshape.default: _reshaped_axis,
    _ATEN.permute.default: _permuted_axis,
}
