"""What cameras of this machine and of the network share: the newest frame of an OpenCV capture."""

from __future__ import annotations

import time

import cv2
import numpy as np

from pipeline.errors import SourceError
from pipeline.frame import Frame
from pipeline.sources.base import Source


class LiveCapture(Source):
    """Frames of an opened ``cv2.VideoCapture``, stamped when they were grabbed, not decoded.

    Args:
        name: what the user called it.
        capture: opened; released with this source.
        remedy: what to do when it stops, for the error line.
    """

    live = True

    def __init__(self, name: str, capture: cv2.VideoCapture, remedy: str) -> None:
        super().__init__(name)
        self._capture = capture
        self._remedy = remedy
        self._delivered = 0
        fps = capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps < 1000 else None

    def _read(self) -> Frame:
        arrived = self._capture.grab()
        captured = time.monotonic()
        image = self._capture.retrieve()[1] if arrived else None
        if image is None:
            raise SourceError(f"{self.name} stopped after {self._delivered} frames; {self._remedy}")
        index = self._delivered
        self._delivered += 1
        return Frame(np.asarray(image, dtype=np.uint8), index, captured, f"{index:06d}")

    def _close(self) -> None:
        self._capture.release()
