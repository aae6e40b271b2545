"""Where the logits of a foreign network are, and how they become (N, classes, h, w)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from onnx import NodeProto
from torch import Tensor

from pipeline.errors import BuildError
from pipeline.graph.onnx_import.cut import Cut, cut_before_decision
from pipeline.graph.onnx_import.file import ForeignFile, Picture
from pipeline.graph.onnx_import.importer import Importer
from pipeline.graph.onnx_import.midpoint import Middle, Midpoints
from pipeline.graph.onnx_import.operators.shapes import reshape, transpose
from pipeline.graph.onnx_import.options import ForeignOptions
from pipeline.graph.onnx_import.recorder import TENSOR, Value

#: Output strides at which a map of flattened height and width is looked for.
_STRIDES = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True)
class Reader:
    """What reads the graph of one file.

    Attributes:
        importer: computes or records its tensors.
        midpoints: finds the threshold where one channel means two classes.
    """

    importer: Importer
    midpoints: Midpoints


@dataclass(frozen=True)
class Head:
    """The logits.

    Attributes:
        cut: where they were found.
        logits: (1, classes, h, w) at the network's input size, recorded.
        raw: the tensor itself, in the file's layout, recorded.
        threshold: of the file's output, where one channel means two classes; else None.
        note: what differs from the file; empty where nothing does.
    """

    cut: Cut
    logits: Value
    raw: Value
    threshold: float | None = None
    note: str = ""


def find_head(
    file: ForeignFile, reader: Reader, picture: Picture, classes: int, asked: ForeignOptions
) -> Head:
    """Find the logits among the outputs, or take the tensor that the user names.

    Raises:
        BuildError: no output or several may be the logits, or a node before them is not imported.
    """
    outputs = [one.name for one in file.graph.output]
    if asked.output is not None or len(outputs) == 1:
        return _head(reader, _cut(file, asked.output or outputs[0], asked), picture, classes)
    found, errors = [], []
    for output in outputs:
        try:
            found.append(_head(reader, _cut(file, output, asked), picture, classes))
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


def _cut(file: ForeignFile, output: str, asked: ForeignOptions) -> Cut:
    """Cut before the decision, or at the output itself where its threshold was given."""
    if asked.threshold is not None:
        return Cut(output, output, None, asked.threshold)
    return cut_before_decision(file, output)


def _head(reader: Reader, cut: Cut, picture: Picture, classes: int) -> Head:
    importer = reader.importer
    # Before the tensor is imported: this records integers and booleans on the way as floats.
    middle = reader.midpoints.of(cut.output) if classes == 2 else None
    raw = importer.tensor(cut.tensor)
    if not isinstance(raw, Value):
        raise BuildError(
            f"the tensor {cut.tensor} does not depend on the picture, expected logits; name "
            "another with --output-name"
        )
    if not raw.dtype.is_floating_point:
        if cut.threshold is None:
            raise BuildError(
                f"the tensor {cut.tensor} holds whole numbers that no ArgMax made, expected "
                "logits; name the tensor that the classes are decided from with --output-name"
            )
        raw = torch.mul(raw, torch.ones(()))  # type: ignore[arg-type]
    raw.node.meta[TENSOR] = cut.tensor  # it may have got another name before, from an identity
    logits = channels(raw, cut, picture, classes)
    threshold = None
    if logits is None and classes == 2 and cut.axis is None:
        channel = one_channel(raw, picture)
        if channel is not None:
            inner = cut.threshold
            if inner is None:
                inner = _parted_at(reader.midpoints.of(cut.tensor), cut)
            threshold = inner if cut.tensor == cut.output else _parted_at(middle, cut)
            logits = _two_of_one(channel, inner)
    if logits is None:
        raise BuildError(
            f"the tensor {cut.tensor} has the sizes {tuple(raw.shape)}, expected a channel for "
            f"each of the {classes} classes of --classes; give one line per channel (void for one "
            "that means nothing), or name another tensor with --output-name"
        )
    if cut.resize is not None:
        logits = _resized_alike(reader, cut.resize, logits)
    note = ""
    size = (picture.height, picture.width)
    if logits.shape[2:] != size:
        note = (
            f"the logits have {logits.shape[3]}x{logits.shape[2]} pixels and are resized "
            f"(bilinear) to {picture.width}x{picture.height}"
        )
        logits = F.interpolate(logits, size=size, mode="bilinear", align_corners=False)
    return Head(cut, logits, raw, threshold, note)


def _parted_at(middle: Middle | None, cut: Cut) -> float:
    if middle is None:
        raise BuildError(
            f"the output {cut.output} has one channel for two classes, and the file does not tell "
            "above which value the second is meant, expected a sigmoid or logits; give "
            "--threshold VALUE, such as 0.5 for a probability"
        )
    return middle.value


def _resized_alike(reader: Reader, node: NodeProto, logits: Any) -> Any:
    """Resize logits as the file resizes its class map, so that both give the same classes."""
    inputs = [None if not name else reader.importer.tensor(name) for name in node.input]
    inputs[0] = logits
    if len(inputs) > 3 and isinstance(inputs[3], Tensor) and inputs[3].numel() == logits.ndim:
        inputs[3] = torch.cat([torch.tensor(logits.shape[:2]), inputs[3].reshape(-1)[2:]])
    return reader.importer.compute(node, inputs)


#: Layouts of a tensor with a channel per class; L is height and width, flattened.
_LAYOUTS = ("NCHW", "NHWC", "CHW", "NLC", "NCL")


def channels(raw: Any, cut: Cut, picture: Picture, classes: int) -> Any:
    """Bring a tensor with a channel per class to (N, classes, h, w); None if it has none.

    Raises:
        BuildError: several layouts fit its sizes.
    """
    axis = None if cut.axis is None else cut.axis % raw.ndim
    found = {
        axes: sides
        for axes in _LAYOUTS
        if len(axes) == raw.ndim
        and raw.shape[axes.index("C")] == classes
        and axis in {None, axes.index("C")}
        and (sides := _sides(axes, raw.shape, picture)) is not None
    }
    if len(found) > 1:  # several dimensions are as long as there are classes
        found = {axes: sides for axes, sides in found.items() if _is_alike(sides, picture)}
        if len(found) != 1:
            raise BuildError(
                f"the tensor {cut.tensor} has the sizes {tuple(raw.shape)}, expected one of them "
                f"alone to be the {classes} classes; give another --size, or --output-name of an "
                "ArgMax, which says where they are"
            )
    for axes, sides in found.items():
        if "N" not in axes:
            return torch.unsqueeze(raw, 0)
        order = [axes.index(letter) for letter in "NCHWL" if letter in axes]
        moved = transpose(raw, order)
        return reshape(moved, [raw.shape[0], classes, *sides]) if "L" in axes else moved
    return None


def _sides(axes: str, shape: Sequence[int], picture: Picture) -> tuple[int, int] | None:
    """Return the height and width of a map with the layout ``axes``; None where it does not fit."""
    if "L" in axes:
        return _flattened(shape[axes.index("L")], picture)
    sides = shape[axes.index("H")], shape[axes.index("W")]
    return sides if "N" in axes or sides in _sizes(picture) else None


def one_channel(raw: Any, picture: Picture) -> Any:
    """Bring a map of one channel, of any shape, to (1, 1, h, w); None if it is not a map."""
    sides = tuple(side for side in raw.shape if side != 1)
    if len(sides) == 2 and (raw.ndim == 4 or _is_alike(sides, picture)):
        return reshape(raw, [1, 1, *sides])
    size = _flattened(sides[0], picture) if len(sides) == 1 else None
    return None if size is None else reshape(raw, [1, 1, *size])


def _is_alike(sides: tuple[int, ...], picture: Picture) -> bool:
    """Whether a map has the picture's proportions, within one pixel of a coarse map."""
    height, width = sides
    return abs(height * picture.width - width * picture.height) <= picture.width + picture.height


def _two_of_one(x: Any, threshold: float) -> Any:
    """Make two logits of one channel: the second is the larger one above the threshold."""
    return torch.cat([torch.zeros_like(x), x - threshold if threshold else x], 1)


def _sizes(picture: Picture) -> list[tuple[int, int]]:
    """Height and width of the maps that a network may make of a picture."""
    return [(-(-picture.height // stride), -(-picture.width // stride)) for stride in _STRIDES]


def _flattened(count: int, picture: Picture) -> tuple[int, int] | None:
    """Return the height and width of a map with ``count`` pixels."""
    return next((size for size in _sizes(picture) if size[0] * size[1] == count), None)
