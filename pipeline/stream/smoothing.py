"""Smooths class maps over time: each pixel takes the majority of three frames."""

from __future__ import annotations

import cv2
import numpy as np

from pipeline.stream.frame import ClassMap, Frame

#: Seconds between two frames of a live source after which smoothing starts again.
LONGEST_GAP = 0.5


class Smoother:
    """Majority of the newest class map and the two before it, pixel by pixel.

    If all three differ, the newest is taken. A change appears one frame later, and a class that
    appears for one frame only is removed. The first maps after a start, after a gap of a live
    source or after a change of size stay as they are.

    Args:
        live: whether times of capture show gaps; those of a file only show how fast it is read.
    """

    def __init__(self, live: bool) -> None:
        self._live = live
        self._before: list[ClassMap] = []
        self._last = 0.0

    def smooth(self, frame: Frame, classes: ClassMap) -> ClassMap:
        """Return the smoothed (h, w) uint8 class map of ``frame``; ``classes`` is not changed."""
        fits = self._before and self._before[-1].shape == classes.shape
        if not fits or (self._live and frame.captured - self._last > LONGEST_GAP):
            self._before = []
        self._last = frame.captured
        smoothed = classes
        if len(self._before) == 2:
            older, old = self._before
            # Where the two older maps agree they are the majority; elsewhere the newest is taken.
            agree = cv2.compare(older, old, cv2.CMP_EQ)
            smoothed = np.asarray(cv2.copyTo(old, agree, classes.copy()), dtype=np.uint8)
        self._before = [*self._before[-1:], classes]
        return smoothed
