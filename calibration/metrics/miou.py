"""Segmentation scores from one confusion matrix over all frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.errors import DataError
from models.classes import ClassSet


@dataclass(frozen=True)
class Scores:
    """Shares from 0 to 1.

    Attributes:
        miou: mean of ``iou`` over the classes that occur in the labels or the predictions.
        pixel_accuracy: share of labelled pixels with the right class.
        iou: intersection over union per class name; ``None`` for a class that never occurs.
        frames: number of label maps counted.
        unlabelled: classes without a pixel in the labels, whose score means little.
    """

    miou: float
    pixel_accuracy: float
    iou: dict[str, float | None]
    frames: int
    unlabelled: tuple[str, ...] = ()


class ConfusionMatrix:
    """Counts label against prediction, pixel by pixel; void pixels are left out."""

    def __init__(self, classes: ClassSet) -> None:
        self.classes = classes
        self.counts: NDArray[np.int64] = np.zeros((len(classes), len(classes)), np.int64)
        self.frames = 0

    def add(self, label: NDArray[np.uint8], predicted: NDArray[np.uint8]) -> None:
        """Count one frame; both are (H, W) uint8 class indices of the same size.

        Raises:
            DataError: the sizes differ, or an index is neither a class nor void.
        """
        check_same_size(label, predicted)
        classes = len(self.classes)
        kept = label != self.classes.void
        truth, guess = label[kept], predicted[kept]
        if truth.size and max(int(truth.max()), int(guess.max())) >= classes:
            raise DataError(
                f"class index {max(int(truth.max()), int(guess.max()))} found, expected 0 to "
                f"{classes - 1} or void {self.classes.void}; check the class set of the labels"
            )
        pairs = truth.astype(np.int64) * classes + guess
        self.counts += np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
        self.frames += 1

    def scores(self) -> Scores:
        """Summarise what was counted so far.

        Raises:
            DataError: no labelled pixel was counted.
        """
        total = int(self.counts.sum())
        if total == 0:
            raise DataError(
                f"{self.frames} frames hold no labelled pixel, expected at least one; "
                "check that the labels are not all void"
            )
        hits = np.diag(self.counts)
        union = self.counts.sum(0) + self.counts.sum(1) - hits
        iou = {
            name: float(hit) / float(size) if size else None
            for index, (name, hit, size) in enumerate(
                zip(self.classes.names, hits, union, strict=True)
            )
            if index != self.classes.void  # a channel for void may exist, but is not scored
        }
        present = [value for value in iou.values() if value is not None]
        return Scores(
            miou=sum(present) / len(present),
            pixel_accuracy=float(hits.sum()) / total,
            iou=iou,
            frames=self.frames,
            unlabelled=tuple(
                name
                for index, name in enumerate(self.classes.names)
                if index != self.classes.void and not self.counts[index].sum()
            ),
        )


def check_same_size(label: NDArray[np.uint8], predicted: NDArray[np.uint8]) -> None:
    """Raise DataError unless two (H, W) maps have the same size."""
    if label.shape != predicted.shape:
        raise DataError(
            f"a prediction of {predicted.shape} was compared with a label of {label.shape}; "
            "resize the prediction to the label first"
        )
