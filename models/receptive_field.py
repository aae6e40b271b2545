"""The theoretical receptive field of a network: which input pixels one output pixel can depend on.

The network is exported to its operator graph at one size, and the interval of rows (then of
columns) that one output pixel needs is propagated backwards through every operator, from the logits
to the picture. An interval may exceed the picture, as the field of a pixel near the border does.

This is exact, since for every operator here the first and the last input index grow with the output
index, so the ends of an interval map to the ends of its source. Poolings over the whole picture
have no interval; they are reported as global context and do not widen the field.

Only shapes are computed, so parameters may be on the ``meta`` device.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.fx import Node

from models.receptive_rules import Span, shape_of, source_axis, sources_span

#: Neighbouring output pixels per axis whose largest field is reported: at output stride 32 it
#: depends on a pixel's position inside its cell of the coarsest map.
POSITIONS = 32


@dataclass(frozen=True)
class ReceptiveField:
    """What one output pixel near the centre sees, in input pixels.

    Attributes:
        height, width: largest number of rows and of columns over 32 x 32 central output pixels.
        global_context: whether a pooling over the whole picture (or a grid of its parts) adds to
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
class _Seen:
    """Result for one axis: longest interval, first index of the central one."""

    longest: int
    central_first: int
    global_context: bool


def _walk(nodes: list[Node], start: Node, axis: int) -> _Seen:
    """Propagate the intervals of the central positions from the graph's output to ``start``."""
    (result,) = nodes[-1].all_input_nodes  # the output node
    extent = shape_of(result)[axis]
    centre = extent // 2
    lowest = max(0, centre - POSITIONS // 2)
    positions = np.arange(lowest, min(extent, lowest + POSITIONS))
    needed = {result: Span(positions, positions)}
    axes = {result: axis}
    reached = _reached_from(start, nodes)
    global_context = False
    for node in reversed(nodes):
        span = needed.get(node)
        if span is None or node is start:
            continue
        sources = [source for source in node.all_input_nodes if source in reached]
        if not sources:
            continue  # a constant: the same for every picture
        wanted = sources_span(node, axes[node], span)
        if wanted is None:
            global_context = True
            continue
        for source in sources:
            own = wanted
            axes[source] = source_axis(node, axes[node])
            extents = [shape_of(one)[axes[one]] for one in (source, node)]
            if extents[0] == 1 < extents[1]:  # one value for every position
                own = Span(np.zeros_like(span.first), np.zeros_like(span.last))
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
