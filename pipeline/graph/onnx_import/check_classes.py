"""Whether an imported network gives the same classes as the file's own output."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.errors import BuildError
from pipeline.graph.onnx_import.check import Array, as_file_wants, reference
from pipeline.graph.onnx_import.file import ForeignFile, Picture
from pipeline.graph.onnx_import.head import Head, channels, one_channel
from pipeline.graph.tolerances import TOLERANCES

#: Distance, as a share of the largest value, within which two classes are equally good: a sigmoid
#: that is cut off gives 1.0 for every large logit.
_TIE = 1e-6


def check_classes(
    file: ForeignFile, picture: Picture, network: nn.Module, head: Head, pictures: Tensor
) -> None:
    """Compare classes with those of the whole file, run by ONNX Runtime.

    :func:`check_import` compares the tensor that the logits are made of; this checks the threshold
    and what was cut off after that tensor.

    Args:
        file: that the network was imported from.
        picture: the file's input.
        network: (N, 3, h, w) -> logits (N, classes, h, w).
        head: how they were found.
        pictures: (1, 3, h, w), as the network gets them.

    Raises:
        BuildError: too many pixels have another class.
    """
    fed = as_file_wants(picture, pictures)
    output = reference(file, picture, fed, [head.cut.output])[0]
    with torch.no_grad():
        logits = network(pictures)
    found = logits.argmax(1)
    right = _right(output, head, picture, found, logits.shape[1])
    if right is None:
        return
    agreement = float(right.double().mean())
    least = TOLERANCES["fp16" if picture.kind == "float16" else "fp32"].agreement
    if agreement < least:
        raise BuildError(
            f"{file.path.name} was understood wrongly: its output {head.cut.output} means another "
            f"class than what was read from {head.cut.tensor} on {1 - agreement:.1%} of pixels of "
            f"a drawn scene, expected {1 - least:.0%} at most; name the tensor of the logits with "
            "--output-name, or give --threshold VALUE for an output of one channel"
        )


def _right(
    output: Array, head: Head, picture: Picture, found: Tensor, classes: int
) -> Tensor | None:
    """Return which pixels of ``found`` are right; None where the sizes cannot be compared."""
    size = (picture.height, picture.width)
    values = torch.as_tensor(output)
    if head.threshold is not None:
        channel = one_channel(values.double(), picture)
        if channel is None:
            return None
        return (_resized(channel, size)[:, 0] > head.threshold) == found.bool()
    if head.cut.axis is not None:
        sides = [side for side in values.shape if side != 1]
        return values.reshape(1, *sides) == found if tuple(sides) == size else None
    scores = channels(values.double(), head.cut, picture, classes)
    if scores is None or (scores.shape[2:] != size and head.cut.tensor != head.cut.output):
        return None
    scores = _resized(scores, size)
    chosen = torch.gather(scores, 1, found[:, None])[:, 0]
    best = scores.amax(1)
    return chosen >= best - _TIE * float(scores.abs().max())


def _resized(scores: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(scores.shape[2:]) == size:
        return scores
    return F.interpolate(scores, size=size, mode="bilinear", align_corners=False)
