"""Max unpooling, in the forms that exporters give it.

ONNX counts the positions of maxima through the whole tensor, PyTorch through each plane, so
exporters subtract and add offsets on the way, flatten, and scatter. None of that is computed here:
positions travel as the phases of ``models.unpooling``, and arithmetic with constants leaves them as
they are. That the result is what the file says is seen when the import is compared with it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from models.unpooling import max_pool_phases, unpool_phases
from pipeline.graph.onnx_import.call import Call, Operator
from pipeline.graph.onnx_import.operators.shapes import reshape

#: What exporters do with positions on their way from pooling to unpooling.
_CARRIERS = frozenset(
    {"Add", "Cast", "Flatten", "Identity", "Reshape", "Slice", "Squeeze", "Sub", "Unsqueeze"}
)


@dataclass(frozen=True)
class Positions:
    """Where the maxima of a pooling stood.

    Attributes:
        size: (H, W) of what was pooled.
        phase: (1, C, H // 2, W // 2), see ``models.unpooling``; None for windows other than 2x2
            with stride 2.
    """

    size: tuple[int, int]
    phase: Any = None


def pool_with_positions(call: Call) -> tuple[Any, Positions]:
    """Pool 2x2 with stride 2, and keep where the maxima stood."""
    pooled = call.recorder.call(max_pool_phases, call.x)
    return pooled[0], Positions(call.x.shape[2:], pooled[1])


def carry(call: Call) -> Positions | None:
    """Return the positions that a node only moves or shifts, or None for every other node."""
    found = [one for one in call.inputs if isinstance(one, Positions)]
    return found[0] if found and call.node.op_type in _CARRIERS else None


def _positions(call: Call) -> Positions:
    positions = call.input(1)
    if not isinstance(positions, Positions) or positions.phase is None:
        raise call.refused(
            "it writes to positions that depend on the picture",
            "those of a MaxPool with 2x2 windows and stride 2",
        )
    return positions


def _unpool(call: Call) -> Any:
    positions = _positions(call)
    size = tuple(int(side) for side in call.numbers(2) or positions.size)[-2:]
    return call.recorder.call(unpool_phases, call.x, positions.phase, size)


def _scatter(call: Call) -> Any:
    """Write values to positions of a constant; of zeros where that is an unpooling."""
    data, indices, values = call.inputs
    if all(isinstance(one, Tensor) for one in call.inputs):
        return data.index_put(tuple(indices.unbind(-1)), values)
    positions = _positions(call)
    channels = positions.phase.shape[1]
    whole = channels * math.prod(positions.size)
    if not isinstance(data, Tensor) or bool(data.any()) or data.numel() != whole:
        raise call.refused("it writes over other values than zeros", "an unpooling")
    x = reshape(values, list(positions.phase.shape))
    unpooled = call.recorder.call(unpool_phases, x, positions.phase, positions.size)
    return reshape(unpooled, list(data.shape))


OPERATORS: dict[str, Operator] = {"MaxUnpool": _unpool, "ScatterND": _scatter}
