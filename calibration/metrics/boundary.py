"""How well predicted outlines follow the labelled ones: boundary F1 within a few pixels."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.metrics.miou import check_same_size
from models.classes import ClassSet

#: Largest distance, in pixels, between a boundary pixel and its match.
TOLERANCE = 3

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class BoundaryScores:
    """Shares from 0 to 1.

    Attributes:
        mean: mean of ``f1`` over the classes that have one; None where there is none.
        f1: harmonic mean of precision and recall per class name; None for a class whose
            labels have no boundary.
    """

    mean: float | None
    f1: dict[str, float | None]


class BoundaryCounter:
    """Counts boundary pixels that have a match in the other map, class by class.

    After Csurka, Larlus and Perronnin, "What is a good evaluation measure for semantic
    segmentation?", BMVC 2013. A boundary pixel of a class has a neighbour (of four) of another
    class; precision is the share of predicted ones within ``TOLERANCE`` of a labelled one of that
    class, recall the reverse. Counts are summed over all frames before F1 is taken, as they are for
    mIoU: averaged frame by frame, as in the paper, one stray pixel would weigh as much as a car.

    Void pixels are ignored. Boundary pixels within ``TOLERANCE`` of void are not counted (but may
    be matched): if an annotator left void between two objects, their outline lies somewhere in it.
    """

    def __init__(self, classes: ClassSet) -> None:
        self.classes = classes
        rows, columns = np.mgrid[-TOLERANCE : TOLERANCE + 1, -TOLERANCE : TOLERANCE + 1]
        # Dilating a mask by this disc marks all pixels near it, ten times faster than distances.
        self._disc = (rows**2 + columns**2 <= TOLERANCE**2).astype(np.uint8)
        shape = (len(classes), 2)
        self.pixels: NDArray[np.int64] = np.zeros(shape, np.int64)  # labelled, predicted
        self.matched: NDArray[np.int64] = np.zeros(shape, np.int64)

    def add(self, label: NDArray[np.uint8], predicted: NDArray[np.uint8]) -> None:
        """Count one frame; both are (H, W) uint8 class indices of the same size.

        Raises:
            DataError: the sizes differ.
        """
        check_same_size(label, predicted)
        known = label != self.classes.void
        counted = ~self._grown(~known)
        boundaries = [_boundary(classes, known) for classes in (label, predicted)]
        for index in range(len(self.classes)):
            if index == self.classes.void:
                continue
            edges = [
                boundary & (classes == index)
                for boundary, classes in zip(boundaries, (label, predicted), strict=True)
            ]
            if not any(edge.any() for edge in edges):
                continue
            for side, (edge, other) in enumerate((edges, edges[::-1])):
                edge = edge & counted
                self.pixels[index, side] += np.count_nonzero(edge)
                self.matched[index, side] += np.count_nonzero(edge & self._grown(other))

    def scores(self) -> BoundaryScores:
        """Summarise what was counted so far."""
        counts = zip(self.pixels.tolist(), self.matched.tolist(), strict=True)
        f1 = {
            name: _f1(*count)
            for index, (name, count) in enumerate(zip(self.classes.names, counts, strict=True))
            if index != self.classes.void
        }
        present = [value for value in f1.values() if value is not None]
        mean = sum(present) / len(present) if present else None
        return BoundaryScores(mean, f1)

    def _grown(self, mask: Mask) -> Mask:
        return cv2.dilate(mask.view(np.uint8), self._disc).view(np.bool_)


def _boundary(classes: NDArray[np.uint8], known: Mask) -> Mask:
    """Mark the pixels with a neighbour of another class, neither of the two void."""
    marked = np.zeros(classes.shape, np.bool_)
    for one, other in (np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:], np.s_[:-1]):
        differ = (classes[one] != classes[other]) & known[one] & known[other]
        marked[one] |= differ
        marked[other] |= differ
    return marked


def _f1(pixels: list[int], matched: list[int]) -> float | None:
    labelled, _ = pixels
    if not labelled:
        return None
    if not all(matched):
        return 0.0
    recall, precision = (hit / all_ for hit, all_ in zip(matched, pixels, strict=True))
    return 2 * precision * recall / (precision + recall)
