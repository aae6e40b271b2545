"""Flicker on video: the share of pixels whose predicted class changes while their label stays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.metrics.miou import check_same_size
from models.classes import ClassSet


@dataclass(frozen=True)
class Stability:
    """What changed between consecutive frames.

    Attributes:
        flip_share: share, from 0 to 1, of the pixels with the same label in two consecutive frames
            whose predicted class changed; None where there are no such pixels.
        pairs: pairs of consecutive frames that were compared.
    """

    flip_share: float | None
    pairs: int


class FlipCounter:
    """Counts flips between each frame and the one before it; void in either is left out.

    Motion is not compensated: only pixels whose label stays the same count. The share is meaningful
    for frames of a video only, and depends on the time between them.
    """

    def __init__(self, classes: ClassSet) -> None:
        self.classes = classes
        self.pixels = self.flips = self.pairs = 0
        self._last: tuple[str, NDArray[np.uint8], NDArray[np.uint8]] | None = None

    def add(
        self, label: NDArray[np.uint8], predicted: NDArray[np.uint8], sequence: str = ""
    ) -> None:
        """Count one frame against the last, unless that was of another sequence or size.

        Args:
            label: (H, W) uint8 class indices.
            predicted: likewise.
            sequence: name of the video that the frame is from.

        Raises:
            DataError: the sizes of the two differ.
        """
        check_same_size(label, predicted)
        last, self._last = self._last, (sequence, label.copy(), predicted.copy())
        if last is None or last[0] != sequence or last[1].shape != label.shape:
            return
        steady = (label == last[1]) & (label != self.classes.void)
        self.pixels += int(np.count_nonzero(steady))
        self.flips += int(np.count_nonzero(steady & (predicted != last[2])))
        self.pairs += 1

    def scores(self) -> Stability:
        """Summarise what was counted so far."""
        return Stability(self.flips / self.pixels if self.pixels else None, self.pairs)


def sequence_of(name: str) -> str:
    """Return the part of a frame's name before its number: ``0016E5_07959`` is of ``0016E5_``."""
    return name.rstrip("0123456789")
