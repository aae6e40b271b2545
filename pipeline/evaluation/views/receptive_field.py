"""The theoretical and the effective receptive field, drawn on a picture.

The theoretical field is the box of pixels that the central output can depend on
(``models.receptive_field``). The effective field (Luo et al., NeurIPS 2016) is where the gradient
of that output is large; it falls off towards the edge of the box. Dilation and pyramid pooling
exist because it is small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from models.receptive_field import ReceptiveField, receptive_field
from pipeline.errors import ModelError
from pipeline.evaluation.views.canvas import Colour, Note, captioned, enlarged, heat
from pipeline.evaluation.views.target import Target, drive_frame
from pipeline.graph.deployment import DeploymentGraph
from pipeline.stream.frame import Image

#: Share of the gradient inside the effective field: that of a Gaussian within two deviations. The
#: paper applies this share to single pixels, but max pooling reaches only some of them.
MASS = 0.9545

#: Frames of the synthetic drive that the gradient is averaged over, besides the picture.
FRAMES = (150, 300, 450, 600)

_THEORETICAL: Colour = (255, 200, 90)
_EFFECTIVE: Colour = (120, 255, 120)
_WIDTH = 960
_BLUR = 2.0

#: Top row, left column, and the row and column after the last ones.
_Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class FieldReport:
    """Both fields in numbers.

    Attributes:
        theoretical: of the network at this size.
        effective_side: side in pixels of the smallest square around the central output pixel
            that holds ``MASS`` of the gradient's magnitude.
        theoretical_share, effective_share: part of the picture that each covers, 0..1.
        inputs: number of pictures that the gradient was averaged over.
    """

    theoretical: ReceptiveField
    effective_side: int
    theoretical_share: float
    effective_share: float
    inputs: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def view_receptive_field(target: Target) -> tuple[Image, FieldReport]:
    """Draw both fields of the central output on the target's picture.

    Raises:
        ModelError: the network has an operator without a rule, or the gradient is zero.
    """
    height, width = target.picture.shape[:2]
    theory = receptive_field(target.graph.network, height, width)
    frames = [target.picture, *(drive_frame(target.spec, index) for index in FRAMES)]
    gradient = effective_field(target.graph, frames)
    side = effective_side(gradient)
    outer = (theory.top, theory.left, theory.top + theory.height, theory.left + theory.width)
    row, column = height // 2 - side // 2, width // 2 - side // 2
    inner = (row, column, row + side, column + side)
    boxes = [_clipped(box, height, width) for box in (outer, inner)]
    shares = [(end - top) * (last - left) / (height * width) for top, left, end, last in boxes]
    report = FieldReport(theory, side, shares[0], shares[1], len(frames))
    drawing = _drawn(target.picture, gradient, boxes)
    return captioned(drawing, _notes(target, report, clipped=outer != boxes[0])), report


def _clipped(box: _Box, height: int, width: int) -> _Box:
    top, left, bottom, right = np.clip(box, 0, (height, width, height, width)).tolist()
    return top, left, bottom, right


def effective_field(graph: DeploymentGraph, frames: Sequence[Image]) -> NDArray[np.float64]:
    """Average the gradient of the central output over ``frames``.

    It is the gradient of the logits of all classes, summed, at row H // 2 and column W // 2 by the
    network's input; its magnitudes are summed over the three colours.

    Returns:
        (H, W) share of the whole gradient at every input pixel; the sum is 1.

    Raises:
        ModelError: the gradient is zero or not finite on every frame.
    """
    total = np.zeros(graph.size)
    for frame in frames:
        x = graph.preprocess(torch.from_numpy(frame)[None]).requires_grad_()
        logits = graph.network(x)
        centre = logits[0, :, logits.shape[-2] // 2, logits.shape[-1] // 2].sum()
        (gradient,) = torch.autograd.grad(centre, x)
        total += gradient[0].abs().sum(0).double().numpy()
    if not (np.isfinite(total).all() and total.sum() > 0):
        raise ModelError(
            "the gradient of the central output is zero or not finite, expected a network whose "
            "output depends on its input; give other weights"
        )
    return np.asarray(total / total.sum())


def effective_side(gradient: NDArray[np.float64], mass: float = MASS) -> int:
    """Return the side of the smallest centred square that holds ``mass`` of a gradient.

    Args:
        gradient: (H, W) shares that sum to 1; the square's centre is row H // 2, column W // 2,
            and its parts outside the picture hold nothing.
        mass: 0..1.
    """
    height, width = gradient.shape
    rows = np.abs(np.arange(height) - height // 2)[:, None]
    columns = np.abs(np.arange(width) - width // 2)
    distance = np.maximum(rows, columns)
    held = np.bincount(distance.ravel(), weights=gradient.ravel()).cumsum()
    return 2 * int(np.searchsorted(held, mass * held[-1])) + 1


def _drawn(picture: Image, gradient: NDArray[np.float64], boxes: Sequence[_Box]) -> Image:
    height, width = picture.shape[:2]
    factor = max(1, round(_WIDTH / width))
    # Single pixels have most of a gradient, since max pooling passes one in four: without blur and
    # square root only a few dots would be visible.
    smooth = np.sqrt(cv2.GaussianBlur(gradient, (0, 0), _BLUR))
    shown = (smooth / smooth.max())[..., None]
    grey = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    mixed = 0.6 * (1 - shown) * grey + np.minimum(1, 2 * shown) * heat(shown[..., 0])
    drawing = enlarged(np.clip(mixed, 0, 255).astype(np.uint8), factor * width, factor * height)
    # The first is thicker, so that it stays visible where both coincide.
    for box, colour, pen in zip(boxes, (_THEORETICAL, _EFFECTIVE), (4, 2), strict=True):
        top, left, bottom, right = (factor * side for side in box)
        cv2.rectangle(drawing, (left, top), (right - 1, bottom - 1), colour, pen)
    centre = (factor * (width // 2) + factor // 2, factor * (height // 2) + factor // 2)
    cv2.drawMarker(drawing, centre, _EFFECTIVE, cv2.MARKER_CROSS, 12, 1)
    return drawing


def _notes(target: Target, report: FieldReport, clipped: bool) -> list[Note]:
    theory, side = report.theoretical, report.effective_side
    outside = " It reaches beyond the picture and is drawn clipped." if clipped else ""
    context = " Pooling of the whole picture adds to it." if theory.global_context else ""
    return [
        Note(target.caption),
        Note(
            f"theoretical field of the central output: {theory.width}x{theory.height} pixels, "
            f"{report.theoretical_share:.1%} of the picture.{outside}{context}",
            _THEORETICAL,
        ),
        Note(
            f"effective field: {side}x{side} pixels, {report.effective_share:.1%} of the picture: "
            f"the smallest square around the output (cross) that holds {MASS:.2%} of the gradient.",
            _EFFECTIVE,
        ),
        Note(
            "heat: magnitude of the gradient of the central output, the logits of all "
            f"{len(target.spec.classes)} classes summed, mean over {report.inputs} inputs (the "
            f"picture and {len(FRAMES)} frames of the synthetic drive); square root, blurred.",
            (0, 130, 240),
        ),
    ]
