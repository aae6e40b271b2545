"""The theoretical receptive field of a network: which input pixels one output pixel can depend on.

Nothing is measured or fitted. The network is traced to its operator graph at one size, and the
interval of rows (then of columns) that one output pixel needs is carried backwards through every
operator, from the logits to the picture. The picture is taken as padded without end: an interval
may leave it, as the field of a pixel near the border does.

This is exact, because of every operator here the first and the last input index grow with the
output index: the ends of an interval come from its ends, whatever lies between. Poolings over the
whole picture have no interval; they are reported as global context and do not widen the field.

Only shapes are computed: parameters may be on the ``meta`` device, where they cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.fx import Node

from models.errors import ModelError

#: Neighbouring output pixels per axis of which the largest field counts: at output stride 32 the
#: field depends on where inside its cell of the coarsest map a pixel stands.
POSITIONS = 32

_ATEN = torch.ops.aten


@dataclass(frozen=True)
class ReceptiveField:
    """What one output pixel near the centre sees, in input pixels.

    Attributes:
        height, width: largest number of rows and of columns over 32 x 32 central output pixels.
        global_context: a pooling over the whole picture (or over a grid of parts of it) adds to
            that; the sides are those of the other paths.
        top, left: first row and column of the field of the central output pixel
            (H // 2, W // 2); negative where it begins outside the picture.
    """

    height: int
    width: int
    global_context: bool
    top: int
    left: int


def receptive_field(network: nn.Module, height: int, width: int) -> ReceptiveField:
    """Compute the field of ``network`` on pictures of ``height`` x ``width`` pixels.

    Args:
        network: maps (N, 3, H, W) to (N, classes, h, w); put in eval mode.
        height: rows of the picture; they matter to networks that resize to it.
        width: columns of the picture.

    Raises:
        ModelError: the network uses an operator without a rule here, which is named.
    """
    parameter = next(network.parameters(), torch.empty(0))
    picture = torch.empty(1, 3, height, width, dtype=parameter.dtype, device=parameter.device)
    program = torch.export.export(network.eval(), (picture,))
    nodes = list(program.graph.nodes)
    start = next(node for node in nodes if node.name in program.graph_signature.user_inputs)
    rows, columns = (_walk(nodes, start, axis) for axis in (-2, -1))
    return ReceptiveField(
        height=rows.longest,
        width=columns.longest,
        global_context=rows.global_context or columns.global_context,
        top=rows.central_first,
        left=columns.central_first,
    )


@dataclass(frozen=True)
class _Span:
    """First and last index along one axis, one entry per output position."""

    first: NDArray[np.int64]
    last: NDArray[np.int64]

    def joined(self, other: _Span | None) -> _Span:
        if other is None:
            return self
        return _Span(np.minimum(self.first, other.first), np.maximum(self.last, other.last))


@dataclass(frozen=True)
class _Seen:
    """What one axis shows: longest interval, first index of the central one."""

    longest: int
    central_first: int
    global_context: bool


class _Call:
    """An operator of the graph, seen along one axis (-2: rows, -1: columns)."""

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
        """Return the part for this axis of an argument (rows, columns), or of one for both."""
        value = self[name]
        if isinstance(value, int):
            return value
        return int(value[self.axis] if len(value) == 2 else value[0])

    def size(self, argument: str | None = None) -> int:
        """Extent along the axis of the result, or of a tensor argument."""
        return _shape(self.node if argument is None else self[argument])[self.axis]

    def is_along(self, dimension: int, argument: str) -> bool:
        """Whether a dimension of a tensor argument, counted as in PyTorch, is this axis."""
        rank = len(_shape(self[argument]))
        return dimension % rank == rank + self.axis

    def refused(self, reason: str) -> ModelError:
        return ModelError(
            f"the receptive field stops at {self.node.name!r}: {self.node.target} {reason}; write "
            "it with operators that have a rule, or add one to models/receptive_field.py"
        )


def _shape(node: Node) -> tuple[int, ...]:
    value = node.meta["val"]
    assert isinstance(value, Tensor)
    return tuple(value.shape)


def _walk(nodes: list[Node], start: Node, axis: int) -> _Seen:
    """Carry the intervals of the central positions from the graph's output back to ``start``."""
    (result,) = nodes[-1].all_input_nodes  # the output node
    extent = _shape(result)[axis]
    centre = extent // 2
    lowest = max(0, centre - POSITIONS // 2)
    positions = np.arange(lowest, min(extent, lowest + POSITIONS))
    needed = {result: _Span(positions, positions)}
    reached = _reached_from(start, nodes)
    global_context = False
    for node in reversed(nodes):
        span = needed.get(node)
        if span is None or node is start:
            continue
        sources = [source for source in node.all_input_nodes if source in reached]
        if not sources:
            continue  # a constant: the same for every picture
        wanted = _sources_span(node, axis, span)
        if wanted is None:
            global_context = True
            continue
        for source in sources:
            own = wanted
            if _shape(source)[axis] == 1 < _shape(node)[axis]:  # one value for every position
                own = _Span(np.zeros_like(span.first), np.zeros_like(span.last))
            needed[source] = own.joined(needed.get(source))
    seen = needed.get(start)
    if seen is None:  # every path leads through a pooling of the whole picture
        return _Seen(0, start.meta["val"].shape[axis] // 2, global_context)
    longest = int((seen.last - seen.first).max()) + 1
    return _Seen(longest, int(seen.first[centre - lowest]), global_context)


def _reached_from(start: Node, nodes: list[Node]) -> set[Node]:
    """Nodes whose value depends on ``start``."""
    reached = {start}
    for node in nodes:
        if not reached.isdisjoint(node.all_input_nodes):
            reached.add(node)
    return reached


def _sources_span(node: Node, axis: int, span: _Span) -> _Span | None:
    """Return what an operator needs of its inputs for ``span``; None: the whole picture."""
    target = node.target
    if not isinstance(target, OpOverload):
        raise ModelError(
            f"the receptive field stops at {node.name!r}: {target} is no tensor operator; write "
            "the network without it"
        )
    call = _Call(node, axis)
    if target in _RULES:
        return _RULES[target](call, span)
    if torch.Tag.pointwise in target.tags:
        return span
    raise call.refused("has no rule")


def _same(call: _Call, span: _Span) -> _Span:
    """Element by element: norms, dropout, copies; concatenation of channels; repetition."""
    return span


def _everything(call: _Call, span: _Span) -> None:
    """Pooling over the whole picture, or over a grid of its parts."""


def _window(call: _Call, span: _Span, kernel: int, dilation: int, padding: int) -> _Span:
    stride = call.along("stride") if call["stride"] else kernel  # as poolings default
    first = span.first * stride - padding
    return _Span(first, span.last * stride - padding + (kernel - 1) * dilation)


def _convolution(call: _Call, span: _Span) -> _Span:
    kernel, dilation, padding = call.size("weight"), call.along("dilation"), call["padding"]
    if isinstance(padding, str):
        before = dilation * (kernel - 1) // 2 if padding == "same" else 0
    else:
        before = call.along("padding")
    return _window(call, span, kernel, dilation, before)


def _transposed_convolution(call: _Call, span: _Span) -> _Span:
    kernel, stride, padding = call.size("weight"), call.along("stride"), call.along("padding")
    if call.along("dilation") != 1 or kernel < stride:
        raise call.refused("is dilated, or its stride exceeds its kernel: outputs without input")
    # Output i takes kernel element i + padding - stride * j of input j.
    first = -((kernel - 1 - padding - span.first) // stride)
    return _Span(first, (span.last + padding) // stride)


def _max_pooling(call: _Call, span: _Span) -> _Span:
    dilation, padding = call.along("dilation"), call.along("padding")
    return _window(call, span, call.along("kernel_size"), dilation, padding)


def _average_pooling(call: _Call, span: _Span) -> _Span:
    return _window(call, span, call.along("kernel_size"), 1, call.along("padding"))


def _concatenation(call: _Call, span: _Span) -> _Span:
    rank = len(_shape(call.node))
    if call["dim"] % rank == rank + call.axis:
        raise call.refused("joins maps along rows or columns")
    return span


def _slice(call: _Call, span: _Span) -> _Span:
    if not call.is_along(call["dim"], "self"):
        return span
    extent, start, step = call.size("self"), call["start"] or 0, call["step"]
    start = min(max(start + extent if start < 0 else start, 0), extent)
    return _Span(span.first * step + start, span.last * step + start)


def _pad(call: _Call, span: _Span) -> _Span:
    """Constants around a map; negative widths cut it."""
    if call["mode"] != "constant":
        raise call.refused(f"pads by {call['mode']!r}")
    place = 2 * (-1 - call.axis)  # (left, right, top, bottom, ...)
    before = call["pad"][place] if place < len(call["pad"]) else 0
    return _Span(span.first - before, span.last - before)


def _mean(call: _Call, span: _Span) -> _Span | None:
    dimensions = call["dim"] or range(len(_shape(call["self"])))
    if any(call.is_along(dimension, "self") for dimension in dimensions):
        return None
    return span


def _step(call: _Call) -> Fraction:
    """Input pixels per output pixel of a resize with half-pixel centres or by neighbours."""
    if call["scale_factors"]:  # PyTorch then trusts the factor, not the sizes it leads to
        return 1 / Fraction(call["scale_factors"][call.axis])
    return Fraction(call.size("input"), call.size())


def _nearest(call: _Call, span: _Span) -> _Span:
    step = _step(call)
    part, whole = step.numerator, step.denominator
    return _Span(span.first * part // whole, span.last * part // whole)


def _bilinear(call: _Call, span: _Span) -> _Span:
    if call["align_corners"]:
        step = Fraction(call.size("input") - 1, max(call.size() - 1, 1))
        shift = Fraction(0)
    else:
        step = _step(call)
        shift = (step - 1) / 2
    # The source of output i is step * i + shift: between its floor and its ceiling.
    whole = step.denominator * shift.denominator
    part, offset = int(step * whole), int(shift * whole)
    return _Span((span.first * part + offset) // whole, -((-span.last * part - offset) // whole))


_RULES: Mapping[OpOverload, Callable[[_Call, _Span], _Span | None]] = {
    _ATEN.conv2d.default: _convolution,
    _ATEN.conv2d.padding: _convolution,
    _ATEN.conv_transpose2d.input: _transposed_convolution,
    _ATEN.max_pool2d.default: _max_pooling,
    _ATEN.avg_pool2d.default: _average_pooling,
    _ATEN.upsample_nearest2d.vec: _nearest,
    _ATEN.upsample_bilinear2d.vec: _bilinear,
    _ATEN.slice.Tensor: _slice,
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
