"""The threshold of an output with one channel for two classes, read from the graph before it.

It is 0.5 for a sigmoid and 0 for logits. What follows on the way to the output (a change of shape,
a resize, arithmetic with constants, a second function) moves it, so it is computed with the same
operators: 127.5 for 255 times a sigmoid, 0.5 for ``1 / (1 + exp(-x))``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from onnx import GraphProto, NodeProto, TensorProto
from torch import Tensor

from pipeline.errors import BuildError
from pipeline.graph.onnx_import.importer import Importer, makers_of
from pipeline.graph.onnx_import.recorder import Value

#: These move, choose or average values, and so keep the threshold.
_CARRIERS = frozenset(
    {"Identity", "Dropout", "Squeeze", "Unsqueeze", "Reshape", "Flatten", "Transpose", "Slice"}
    | {"Split", "Gather", "Expand", "Tile", "Pad", "DepthToSpace", "SpaceToDepth", "Resize"}
    | {"Upsample", "MaxPool", "AveragePool", "GridSample", "ReduceMax", "ReduceMean", "ReduceMin"}
    | {"GatherElements", "GatherND"}
)
#: Rounding keeps the threshold, too.
_ROUNDINGS = frozenset({"Floor", "Ceil", "Round"})
#: Functions of single values that are monotone.
_FUNCTIONS = frozenset(
    {"Sigmoid", "HardSigmoid", "Tanh", "Clip", "Relu", "Neg", "Exp", "Log", "Sqrt", "Pow", "Erf"}
    | {"Reciprocal", "Softsign", "Softplus", "LeakyRelu", "PRelu", "Elu", "Selu", "Celu", "Sign"}
    | {"Add", "Sub", "Mul", "Div", "Max", "Min", "Abs", "Sum", "Mean"}
)
#: The output of these is still logits where their input is.
_SCALING = frozenset({"Add", "Sub", "Mul", "Div", "Neg", "Sum", "Mean", "LeakyRelu", "PRelu"})
#: These turn logits into values with a range of their own, such as probabilities.
_ACTIVATIONS = frozenset(
    {"Sigmoid", "HardSigmoid", "Tanh", "Softsign", "Softplus", "Erf", "Exp", "Elu", "Selu", "Celu"}
    | {"Sign"}
)
_COMPARISONS = frozenset({"Greater", "GreaterOrEqual", "Less", "LessOrEqual"})
#: Weighted sums, with weights of either sign: their output is logits.
_LINEAR = frozenset(
    {"Conv", "ConvTranspose", "Gemm", "MatMul", "Einsum", "BatchNormalization"}
    | {"InstanceNormalization", "LayerNormalization", "GroupNormalization"}
)
_UNSIGNED = frozenset({TensorProto.UINT8, TensorProto.UINT16, TensorProto.UINT32})


@dataclass(frozen=True)
class Middle:
    """The threshold between two classes.

    Attributes:
        value: above it the second class is meant.
        bounded: the values have passed an activation. Before one they are logits, whose threshold
            is 0 whatever is added to or multiplied with them: that is bias and scale.
    """

    value: float
    bounded: bool


class Midpoints:
    """Finds thresholds in a graph, and records integers and booleans on the way as floats."""

    def __init__(self, graph: GraphProto, importer: Importer) -> None:
        self._makers = makers_of(graph)
        self._importer = importer
        self._found: dict[str, Middle | None] = {}

    def of(self, tensor: str) -> Middle | None:
        """Return the threshold of a tensor; None where the graph does not tell."""
        if tensor not in self._found:
            node = self._makers.get(tensor)
            self._found[tensor] = None if node is None else self._behind(node)
        return self._found[tensor]

    def _behind(self, node: NodeProto) -> Middle | None:
        kind = node.op_type
        if kind in _LINEAR:
            return Middle(0.0, bounded=False)
        if kind in {"Softmax", "LogSoftmax"}:
            return Middle(0.5 if kind == "Softmax" else float(torch.tensor(0.5).log()), True)
        if kind in _CARRIERS or kind in _ROUNDINGS:
            return self.of(node.input[0])
        if kind in {"Cast", "CastLike"}:
            return self._cast(node)
        if kind in _COMPARISONS:
            return self._compared(node)
        if kind == "Not":
            return self._replaced(node, lambda x: torch.rsub(x, 1))
        if kind == "Where":
            return self._chosen(node)
        if kind == "Concat":
            parts = [self.of(name) for name in node.input]
            return parts[0] if all(part == parts[0] for part in parts) else None
        return self._through(node) if kind in _FUNCTIONS else None

    def _depends(self, name: str) -> bool:
        """Import a tensor, and return whether it depends on the picture."""
        return bool(name) and isinstance(self._importer.tensor(name), Value)

    def _through(self, node: NodeProto) -> Middle | None:
        """Apply a function to the threshold of its input."""
        for name in node.input:  # before anything else: it records integers as floats
            self.of(name)
        moving = [self._depends(name) for name in node.input]
        if sum(moving) > 1:
            return self._of_several(node, moving)
        middle = self.of(node.input[moving.index(True)])
        if middle is None:
            return None
        given = [torch.tensor(middle.value) if moves else None for moves in moving]
        if not middle.bounded:
            if node.op_type in _SCALING and not (node.op_type == "Div" and moving[1]):
                return middle
            if node.op_type in {"Clip", "Relu", "Max", "Min"}:
                return self._limited(node, moving)
            if node.op_type not in _ACTIVATIONS:
                return None
        value = self._computed(node, given)
        return None if value is None else Middle(value, bounded=True)

    def _limited(self, node: NodeProto, moving: list[bool]) -> Middle | None:
        """Clipped logits: 0 where both signs are left, else half-way between the limits."""
        ends = []
        for far in (-1e6, 1e6):
            filled = [torch.tensor(far) if moves else None for moves in moving]
            ends.append(self._computed(node, filled))
        low, high = ends
        if low is None or high is None:
            return None
        both = abs(low) < 1e6 and abs(high) < 1e6
        if low < 0 < high:
            return Middle(0.0, bounded=False)
        return Middle((low + high) / 2, True) if both and low < high else None

    def _of_several(self, node: NodeProto, moving: list[bool]) -> Middle | None:
        """A sum of logits is logits; of probabilities, the node is applied to their thresholds."""
        if node.op_type == "Div" and self._is_softmax(node):
            return Middle(0.5, True)
        if node.op_type not in {"Add", "Sub", "Sum", "Mean", "Max", "Min"}:
            return None
        parts = [self.of(n) if moves else None for n, moves in zip(node.input, moving, strict=True)]
        known = [part for part in parts if part is not None]
        if len(known) == sum(moving) and all(part.bounded for part in known):
            given = [None if part is None else torch.tensor(part.value) for part in parts]
            value = self._computed(node, given)
            return None if value is None else Middle(value, True)
        return None if any(part.bounded for part in known) or not known else Middle(0.0, False)

    def _is_softmax(self, node: NodeProto) -> bool:
        """Whether a division is the last step of a soft-max: by the sum of what is divided."""
        below = self._makers.get(node.input[1])
        while below is not None and below.op_type in {"Expand", "Identity", "Unsqueeze"}:
            below = self._makers.get(below.input[0])
        above = self._makers.get(node.input[0])
        if above is None or above.op_type != "Exp" or below is None:
            return False
        return below.op_type == "ReduceSum" and below.input[0] == node.input[0]

    def _computed(self, node: NodeProto, given: list[Tensor | None]) -> float | None:
        """Run a node on single values instead of values that depend on the picture."""
        inputs: list[Any] = []
        for name, value in zip(node.input, given, strict=True):
            constant = None if value is not None or not name else self._importer.tensor(name)
            if isinstance(constant, Tensor):
                flat = constant.reshape(-1)
                if not flat.numel() or not bool((flat == flat[0]).all()):
                    return None  # another value for each pixel or channel
                constant = flat[0]
            inputs.append(constant if value is None else value.to(torch.float32))
        try:
            result = self._importer.compute(node, inputs)
        except BuildError:
            return None
        return float(result) if isinstance(result, Tensor) and result.numel() == 1 else None

    def _cast(self, node: NodeProto) -> Middle | None:
        middle = self.of(node.input[0])
        x: Any = self._importer.tensor(node.input[0])
        kind = next((one.i for one in node.attribute if one.name == "to"), TensorProto.FLOAT)
        floats = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16}
        if middle is None or not isinstance(x, Value) or kind in floats:
            return middle
        if kind == TensorProto.BOOL:
            return None
        if not x.dtype.is_floating_point:
            return middle
        self._importer.replace(node.output[0], _whole(x, kind))
        return middle

    def _compared(self, node: NodeProto) -> Middle | None:
        """Record a comparison as 0 or 1."""
        left, right = (self._importer.tensor(name) for name in node.input)
        if isinstance(left, Value) == isinstance(right, Value):
            return None
        holds = self._importer.compute(node, (left, right))
        number = torch.where(holds, torch.ones(()), torch.zeros(()))
        self._importer.replace(node.output[0], number)
        return Middle(0.5, True)

    def _replaced(self, node: NodeProto, function: Any) -> Middle | None:
        middle = self.of(node.input[0])
        x: Any = self._importer.tensor(node.input[0])
        if middle is None or not isinstance(x, Value) or not x.dtype.is_floating_point:
            return None
        self._importer.replace(node.output[0], function(x))
        return middle

    def _chosen(self, node: NodeProto) -> Middle | None:
        """Record a choice between two constants as a blend; the condition is 0 or 1 by now."""
        middle = self.of(node.input[0])
        condition: Any = self._importer.tensor(node.input[0])
        pair = [self._importer.tensor(name) for name in node.input[1:]]
        if middle is None or not isinstance(condition, Value):
            return None
        if not all(isinstance(one, Tensor) and one.min() == one.max() for one in pair):
            return None
        yes, no = (float(one.reshape(-1)[0]) for one in pair)
        self._importer.replace(node.output[0], _between(condition, yes, no))
        return Middle((yes + no) / 2, True)


def _whole(x: Any, kind: int) -> Any:
    """Cut off the digits after the point, as a cast to integers does."""
    return torch.floor(x) if kind in _UNSIGNED else torch.sign(x) * torch.floor(torch.abs(x))


def _between(share: Any, yes: float, no: float) -> Any:
    return torch.add(torch.mul(share, yes - no), no)
