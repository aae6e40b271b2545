"""Above which value one channel means the second of two classes: read from the graph before it.

A sigmoid parts them at 0.5, logits at 0. What follows on the way to the output (a change of shape,
a resize, arithmetic with constants, a second function) moves that value: it is computed with the
same operators. So 255 times a sigmoid parts at 127.5, and ``1 / (1 + exp(-x))`` at 0.5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from onnx import GraphProto, NodeProto, TensorProto
from torch import Tensor

from pipeline.errors import BuildError
from pipeline.graph.onnx_import.call import Call
from pipeline.graph.onnx_import.importer import Importer, compute, makers_of
from pipeline.graph.onnx_import.recorder import Recorder, Value

#: Moves, chooses or averages values, and so keeps their range.
_CARRIERS = frozenset(
    {"Identity", "Dropout", "Squeeze", "Unsqueeze", "Reshape", "Flatten", "Transpose", "Slice"}
    | {"Split", "Gather", "Expand", "Tile", "Pad", "DepthToSpace", "SpaceToDepth", "Resize"}
    | {"Upsample", "MaxPool", "AveragePool", "GridSample", "ReduceMax", "ReduceMean", "ReduceMin"}
    | {"GatherElements", "GatherND"}
)
#: Rounds: the value where the classes part stays in the middle.
_ROUNDINGS = frozenset({"Floor", "Ceil", "Round"})
#: One value in, one out, and growing or falling wherever they are not flat.
_FUNCTIONS = frozenset(
    {"Sigmoid", "HardSigmoid", "Tanh", "Clip", "Relu", "Neg", "Exp", "Log", "Sqrt", "Pow", "Erf"}
    | {"Reciprocal", "Softsign", "Softplus", "LeakyRelu", "PRelu", "Elu", "Selu", "Celu", "Sign"}
    | {"Add", "Sub", "Mul", "Div", "Max", "Min", "Abs", "Sum", "Mean"}
)
#: What logits may go through and stay logits.
_SCALING = frozenset({"Add", "Sub", "Mul", "Div", "Neg", "Sum", "Mean", "LeakyRelu", "PRelu"})
#: What logits become values by that have a meaning of their own.
_ACTIVATIONS = frozenset(
    {"Sigmoid", "HardSigmoid", "Tanh", "Softsign", "Softplus", "Erf", "Exp", "Elu", "Selu", "Celu"}
    | {"Sign"}
)
_COMPARISONS = frozenset({"Greater", "GreaterOrEqual", "Less", "LessOrEqual"})
#: Adds up what it is given with weights of either sign: logits.
_LINEAR = frozenset(
    {"Conv", "ConvTranspose", "Gemm", "MatMul", "Einsum", "BatchNormalization"}
    | {"InstanceNormalization", "LayerNormalization", "GroupNormalization"}
)
_UNSIGNED = frozenset({TensorProto.UINT8, TensorProto.UINT16, TensorProto.UINT32})


@dataclass(frozen=True)
class Middle:
    """Where two classes part.

    Attributes:
        value: above it the second class is meant.
        bounded: values have passed an activation. Those before are logits: they part at 0, whatever
            is added to them or multiplied by, since that is bias and scale.
    """

    value: float
    bounded: bool


class Midpoints:
    """Finds them, and records whole numbers and truth values on the way as floats.

    Args:
        graph: of the file.
        importer: of the same graph.
        recorder: that the importer writes to.
        opset: of the file.
    """

    def __init__(
        self, graph: GraphProto, importer: Importer, recorder: Recorder, opset: int
    ) -> None:
        self._makers = makers_of(graph)
        self._importer = importer
        self._recorder = recorder
        self._opset = opset
        self._found: dict[str, Middle | None] = {}

    def of(self, tensor: str) -> Middle | None:
        """Return where the classes part in a tensor; None where the graph does not tell."""
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
        """Whether a tensor depends on the picture; it is imported for that."""
        return bool(name) and isinstance(self._importer.tensor(name), Value)

    def _through(self, node: NodeProto) -> Middle | None:
        """Compute what a function makes of the middle of its input."""
        for name in node.input:  # first: it records whole numbers as floats
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
        """Clip logits: between two limits that do not leave both signs, it is half-way."""
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
        """A sum of logits is logits; one of probabilities parts where all of them do."""
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
        """Whether a division is by the sum of what is divided: a soft-max in small steps."""
        below = self._makers.get(node.input[1])
        while below is not None and below.op_type in {"Expand", "Identity", "Unsqueeze"}:
            below = self._makers.get(below.input[0])
        above = self._makers.get(node.input[0])
        if above is None or above.op_type != "Exp" or below is None:
            return False
        return below.op_type == "ReduceSum" and below.input[0] == node.input[0]

    def _computed(self, node: NodeProto, given: list[Tensor | None]) -> float | None:
        """Run a node on single values in place of what depends on the picture."""
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
            result = compute(Call(node, tuple(inputs), self._opset, self._recorder))
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
        """A truth value becomes 0 or 1."""
        left, right = (self._importer.tensor(name) for name in node.input)
        if isinstance(left, Value) == isinstance(right, Value):
            return None
        says = compute(Call(node, (left, right), self._opset, self._recorder))
        number = torch.where(says, torch.ones(()), torch.zeros(()))
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
        """One of two constants, by a truth value that has become 0 or 1."""
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
    """Cut the digits behind the point off, as a cast to whole numbers does."""
    return torch.floor(x) if kind in _UNSIGNED else torch.sign(x) * torch.floor(torch.abs(x))


def _between(share: Any, yes: float, no: float) -> Any:
    return torch.add(torch.mul(share, yes - no), no)
