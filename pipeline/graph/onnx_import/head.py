"""Where the logits of a foreign network are, and how they become (N, classes, h, w)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from onnx import NodeProto, numpy_helper

from pipeline.errors import BuildError
from pipeline.graph.onnx_import.call import title
from pipeline.graph.onnx_import.file import ForeignFile, Picture
from pipeline.graph.onnx_import.importer import Importer, makers_of
from pipeline.graph.onnx_import.operators.shapes import reshape, transpose
from pipeline.graph.onnx_import.recorder import TENSOR, Value

#: What a class map may pass on its way from the arg-max to the output.
_CARRIERS = frozenset(
    {"Cast", "Identity", "Squeeze", "Unsqueeze", "Reshape", "Flatten", "Transpose", "Resize"}
)
#: What leaves the order of a pixel's values as it is.
_MONOTONE = frozenset({"Softmax", "LogSoftmax", "Sigmoid", "Identity", "Dropout"})
#: Smallest part of the input's size that flattened outputs are looked for at.
_STRIDES = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True)
class Cut:
    """A tensor that classes are decided from.

    Attributes:
        output: of the file, that it was found from.
        tensor: name.
        axis: of the classes where an arg-max says so; None where the sizes must tell.
        threshold: of one channel, for two classes: above it the second is meant.
    """

    output: str
    tensor: str
    axis: int | None = None
    threshold: float = 0.0


@dataclass(frozen=True)
class Head:
    """The logits.

    Attributes:
        cut: where they were found.
        logits: (1, classes, h, w) at the network's input size, on record.
        raw: the tensor itself, in the file's layout, on record.
        note: what is not as in the file; empty where all is.
    """

    cut: Cut
    logits: Value
    raw: Value
    note: str = ""


def cut_before_decision(file: ForeignFile, output: str) -> Cut:
    """Go back from an output to before its arg-max, soft-max or threshold."""
    makers = makers_of(file.graph)
    node = makers.get(output)
    while node is not None and node.op_type in _CARRIERS:
        node = makers.get(node.input[0])
    axis, tensor, threshold = None, output, 0.0
    if node is not None and node.op_type == "ArgMax":
        axis, tensor = _attribute(node, "axis", 0), node.input[0]
    elif node is not None and node.op_type == "TopK" and _one_of(file, node):
        axis, tensor = _attribute(node, "axis", -1), node.input[0]
    elif node is not None and node.op_type in {"Greater", "GreaterOrEqual"}:
        number = _scalar(file, node.input[1])
        if number is None:
            return Cut(output, output)
        return Cut(output, node.input[0], None, number)
    while (above := makers.get(tensor)) is not None:
        if above.op_type == "Transpose" and axis is not None:
            order = next((one.ints for one in above.attribute if one.name == "perm"), ())
            axis = order[axis] if order else axis
        elif above.op_type not in _MONOTONE:
            break
        tensor = above.input[0]
    return Cut(output, tensor, axis, threshold)


def find_head(
    file: ForeignFile, importer: Importer, picture: Picture, classes: int, asked: str | None
) -> Head:
    """Find the logits among the outputs, or take the tensor that was ``asked`` for.

    Raises:
        BuildError: none, or several; or a node on the way cannot be imported.
    """
    outputs = [one.name for one in file.graph.output]
    if asked is not None or len(outputs) == 1:
        return _head(importer, cut_before_decision(file, asked or outputs[0]), picture, classes)
    found, errors = [], []
    for output in outputs:
        try:
            found.append(_head(importer, cut_before_decision(file, output), picture, classes))
        except BuildError as error:
            errors.append(error)
    tensors = {head.cut.tensor for head in found}
    if len(tensors) == 1:
        return found[0]
    if not found:
        raise errors[0]
    named = ", ".join(f"{one.cut.output} {tuple(one.raw.shape)}" for one in found)
    raise BuildError(
        f"{file.path.name} has {len(tensors)} outputs that may be the logits: {named}; choose one "
        "with --output-name"
    )


def _head(importer: Importer, cut: Cut, picture: Picture, classes: int) -> Head:
    raw = importer.tensor(cut.tensor)
    if not isinstance(raw, Value):
        raise BuildError(
            f"the tensor {cut.tensor} does not depend on the picture, expected logits; name "
            "another with --output-name"
        )
    if not raw.dtype.is_floating_point:
        raise BuildError(
            f"the tensor {cut.tensor} holds whole numbers that no ArgMax made, expected logits; "
            "name the tensor that the classes are decided from with --output-name"
        )
    raw.node.meta[TENSOR] = cut.tensor  # it may have got another name before, from an identity
    logits = _channels_first(raw, cut, picture, classes)
    note = ""
    size = (picture.height, picture.width)
    if logits.shape[2:] != size:
        note = (
            f"the logits have {logits.shape[3]}x{logits.shape[2]} pixels and are resized "
            f"(bilinear) to {picture.width}x{picture.height}"
        )
        logits = F.interpolate(logits, size=size, mode="bilinear", align_corners=False)
    return Head(cut, logits, raw, note)


def _channels_first(raw: Value, cut: Cut, picture: Picture, classes: int) -> Any:
    """Bring a tensor to (1, classes, h, w)."""
    shape = raw.shape
    axis = None if cut.axis is None else cut.axis % raw.ndim
    found = None
    if raw.ndim == 4:
        found = _of_maps(raw, axis, cut.threshold, classes)
    elif raw.ndim == 3 and _is_size(shape[1:], picture):
        if shape[0] == classes and axis in {None, 0}:
            found = torch.unsqueeze(raw, 0)  # type: ignore[arg-type]
        elif classes == 2 and axis is None:
            found = _two_of_one(torch.unsqueeze(raw, 1), cut.threshold)  # type: ignore[arg-type]
    elif raw.ndim == 3:
        found = _of_rows(raw, axis, picture, classes)
    if found is not None:
        return found
    raise BuildError(
        f"the tensor {cut.tensor} has the sizes {tuple(shape)}, expected a channel for each of the "
        f"{classes} classes of --classes; give one line per channel (void for one that means "
        "nothing), or name another tensor with --output-name"
    )


def _of_maps(raw: Value, axis: int | None, threshold: float, classes: int) -> Any:
    for channel in (1, 3):
        order = [0, 1, 2, 3] if channel == 1 else [0, 3, 1, 2]
        if raw.shape[channel] == classes and axis in {None, channel}:
            return transpose(raw, order)
        if raw.shape[channel] == 1 and classes == 2 and axis is None:
            return _two_of_one(transpose(raw, order), threshold)
    return None


def _of_rows(raw: Value, axis: int | None, picture: Picture, classes: int) -> Any:
    for channel in (2, 1):
        size = _flattened(raw.shape[3 - channel], picture)
        if raw.shape[channel] == classes and axis in {None, channel} and size:
            rows = transpose(raw, [0, 2, 1]) if channel == 2 else raw
            return reshape(rows, [raw.shape[0], classes, *size])
    return None


def _two_of_one(x: Any, threshold: float) -> Any:
    """Make two logits of one: above the threshold the second class is meant, else the first."""
    return torch.cat([torch.zeros_like(x), x - threshold if threshold else x], 1)


def _is_size(sides: tuple[int, ...], picture: Picture) -> bool:
    return any(
        sides == (-(-picture.height // stride), -(-picture.width // stride)) for stride in _STRIDES
    )


def _flattened(count: int, picture: Picture) -> tuple[int, int] | None:
    """Return the height and width of a map with ``count`` pixels."""
    for stride in _STRIDES:
        size = (-(-picture.height // stride), -(-picture.width // stride))
        if size[0] * size[1] == count:
            return size
    return None


def _attribute(node: NodeProto, name: str, default: int) -> int:
    return next((one.i for one in node.attribute if one.name == name), default)


def _one_of(file: ForeignFile, node: NodeProto) -> bool:
    """Whether a TopK takes the largest alone."""
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
