"""Where a foreign network decides on classes, and how it normalises: read from its graph."""

from __future__ import annotations

from dataclasses import dataclass

from onnx import NodeProto, numpy_helper

from pipeline.graph.onnx_import.call import title
from pipeline.graph.onnx_import.file import ForeignFile, Picture
from pipeline.graph.onnx_import.importer import makers_of

#: Operators that may stand between the arg-max and the output.
_CARRIERS = frozenset(
    {
        "Cast",
        "Identity",
        "Squeeze",
        "Unsqueeze",
        "Reshape",
        "Flatten",
        "Transpose",
        "Resize",
        "Upsample",
    }
)
#: Operators that keep the order of a pixel's values.
_MONOTONE = frozenset({"Softmax", "LogSoftmax", "Sigmoid", "Identity", "Dropout"})


@dataclass(frozen=True)
class Cut:
    """A tensor that classes are decided from.

    Attributes:
        output: the file's output that it belongs to.
        tensor: name.
        axis: of the classes where an arg-max names it; None to find it by the sizes.
        threshold: of one channel, for two classes: above it the second is meant; None to find it
            in the graph.
        resize: node that resizes the class map afterwards, by nearest neighbour.
    """

    output: str
    tensor: str
    axis: int | None = None
    threshold: float | None = None
    resize: NodeProto | None = None


def cut_before_decision(file: ForeignFile, output: str) -> Cut:
    """Find the tensor before an output's arg-max, soft-max or threshold."""
    makers = makers_of(file.graph)
    node = makers.get(output)
    resized = None
    while node is not None and node.op_type in _CARRIERS:
        resized = node if node.op_type in {"Resize", "Upsample"} else resized
        node = makers.get(node.input[0])
    axis, tensor = None, output
    if node is not None and node.op_type == "ArgMax":
        axis, tensor = _attribute(node, "axis", 0), node.input[0]
    elif node is not None and node.op_type == "TopK" and _one_of(file, node):
        axis, tensor = _attribute(node, "axis", -1), node.input[0]
    elif node is not None and node.op_type in {"Greater", "GreaterOrEqual"} and resized is None:
        number = _scalar(file, node.input[1])
        return Cut(output, output) if number is None else Cut(output, node.input[0], None, number)
    while (above := makers.get(tensor)) is not None:
        if above.op_type == "Transpose" and axis is not None:
            order = next((one.ints for one in above.attribute if one.name == "perm"), ())
            axis = order[axis] if order else axis
        elif above.op_type not in _MONOTONE:
            break
        tensor = above.input[0]
    return Cut(output, tensor, axis, resize=resized if axis is not None else None)


def _attribute(node: NodeProto, name: str, default: int) -> int:
    return next((one.i for one in node.attribute if one.name == name), default)


def _one_of(file: ForeignFile, node: NodeProto) -> bool:
    """Whether a TopK takes only the largest value."""
    count = _scalar(file, node.input[1]) if len(node.input) > 1 else _attribute(node, "k", 1)
    return count == 1 and _attribute(node, "largest", 1) == 1


def _scalar(file: ForeignFile, name: str) -> float | None:
    """Return the only value of a constant of the file, else None."""
    proto = next((one for one in file.graph.initializer if one.name == name), None)
    maker = makers_of(file.graph).get(name)
    if proto is None and maker is not None and maker.op_type == "Constant":
        proto = next((one.t for one in maker.attribute if one.name == "value"), None)
    if proto is None:
        return None
    array = numpy_helper.to_array(proto)
    return float(array.reshape(-1)[0]) if array.size == 1 else None


def normalised_by(file: ForeignFile, picture: Picture) -> str:
    """Name the node that normalises the picture inside the file, or return an empty text."""
    reached = {picture.name}
    for node in file.graph.node:
        if not reached & set(node.input):
            continue
        if node.op_type in {"Transpose", "Cast", "Identity"}:
            reached |= set(node.output)
        elif node.op_type in {"Sub", "Add", "Div", "Mul", "BatchNormalization"}:
            return title(node)
    return ""
