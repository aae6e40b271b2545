"""Class maps steadied over time: each pixel takes the majority of three frames."""

from __future__ import annotations

import cv2
import numpy as np

from pipeline.frame import ClassMap, Frame

#: Seconds between two frames beyond which the older one says nothing about the newer.
LONGEST_GAP = 0.5


class Smoother:
    """Majority of the newest class map and the two before it, pixel by pixel.

    Where all three differ the newest wins. What changes is seen one frame later; a class that
    flashes up for one frame is not seen at all. The first maps after a start, a gap of a live
    source or a change of size pass as they are.

    Args:
        live: moments of capture tell of gaps, longer than :data:`LONGEST_GAP`; those of a file only
            tell how fast it is read.
    """

    def __init__(self, live: bool) -> None:
        self._live = live
        self._before: list[ClassMap] = []
        self._last = 0.0

    def smooth(self, frame: Frame, classes: ClassMap) -> ClassMap:
        """Return the steadied (h, w) uint8 class map of ``frame``; the given one is kept as is."""
        fits = self._before and self._before[-1].shape == classes.shape
        if not fits or (self._live and frame.captured - self._last > LONGEST_GAP):
            self._before = []
        self._last = frame.captured
        steadied = classes
        if len(self._before) == 2:
            older, old = self._before
            # Two that agree outvote the newest; where they do not, one of them may agree with it.
            agree = cv2.compare(older, old, cv2.CMP_EQ)
            steadied = np.asarray(cv2.copyTo(old, agree, classes.copy()), dtype=np.uint8)
        self._before = [*self._before[-1:], classes]
        return steadied
