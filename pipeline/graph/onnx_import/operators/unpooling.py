"""Max unpooling, in the forms in which exporters write it.

ONNX counts the positions of maxima through the whole tensor, PyTorch through each plane, so
exporters subtract and add offsets, flatten, and scatter. None of that is computed here: positions
are passed on as the phases of ``models.unpooling``, unchanged by arithmetic with constants. The
comparison of the import with its file shows whether that was right.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from models.unpooling import max_pool_phases, unpool_phases
from pipeline.graph.onnx_import.call import Call, Operator
from pipeline.graph.onnx_import.operators.shapes import reshape

#: Operators that exporters write between pooling and unpooling.
_CARRIERS = frozenset(
    {"Add", "Cast", "Flatten", "Identity", "Reshape", "Slice", "Squeeze", "Sub", "Unsqueeze"}
)


@dataclass(frozen=True)
class Positions:
    """Positions of the maxima of a pooling.

    Attributes:
        size: (H, W) of what was pooled.
        phase: (1, C, H // 2, W // 2), see ``models.unpooling``; None for windows other than 2x2
            with stride 2.
    """

    size: tuple[int, int]
    phase: Any = None


def pool_with_positions(call: Call) -> tuple[Any, Positions]:
    """Pool 2x2 with stride 2, and keep the positions of the maxima."""
    pooled = call.recorder.call(max_pool_phases, call.x)
    return pooled[0], Positions(call.x.shape[2:], pooled[1])


def carry(call: Call) -> Positions | None:
    """Return the positions that a node passes on or shifts; None for every other node."""
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
    """Write values to positions of a constant: an unpooling where the constant is zeros."""
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
