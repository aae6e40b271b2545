"""What travels through a stream: a frame on the way in, a result on the way out."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
ClassMap = NDArray[np.uint8]


@dataclass(frozen=True)
class Frame:
    """One picture of a source.

    Attributes:
        image: (H, W, 3) uint8, BGR, as OpenCV gives it; never written to after capture.
        index: 0, 1, 2 ... as the source delivered it; dropped frames leave gaps.
        captured: seconds of ``time.monotonic()`` at capture (a file: when it was decoded).
        name: what per-frame outputs are called; unique within a source, no folder, no suffix.
        label: (H, W) uint8 class map where the source knows the truth, else None.
        seconds: place in the source's own time, 0 at its first frame; None where it has none
            beyond index and rate.
    """

    image: Image
    index: int
    captured: float
    name: str
    label: ClassMap | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Mark:
    """A polygon to draw over a picture.

    Attributes:
        polygon: corners (x, y), 0..1 of the picture's width and height.
        text: to stand at it.
        alert: drawn so that it is seen at once.
    """

    polygon: tuple[tuple[float, float], ...]
    text: str
    alert: bool


@dataclass(frozen=True)
class Result:
    """A segmented frame.

    Attributes:
        frame: the frame that was segmented.
        classes: (h, w) uint8 class indices, at the network's own size.
        finished: seconds of ``time.monotonic()`` when ``classes`` was ready.
        blended: (H, W, 3) uint8, BGR, the frame with class colours over it, where the session made
            it; None where the drawing stage has to.
        shares: (classes,) float64, share of the picture per class, 0..1; None when no sink asked.
        overlay: (H, W, 3) uint8, BGR, the drawn frame; None when no sink asked for one.
        marks: zones and what was measured in them, drawn on ``overlay`` and on the page.
    """

    frame: Frame
    classes: ClassMap
    finished: float
    shares: NDArray[np.float64] | None = None
    overlay: Image | None = None
    blended: Image | None = None
    marks: tuple[Mark, ...] = ()

    def classes_at_frame_size(self) -> ClassMap:
        """Class map as (H, W) uint8, enlarged by nearest neighbour."""
        height, width = self.frame.image.shape[:2]
        enlarged = cv2.resize(self.classes, (width, height), interpolation=cv2.INTER_NEAREST)
        return np.asarray(enlarged, dtype=np.uint8)
