"""The data of a stream: frames on the way in, results on the way out."""

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
        name: of per-frame outputs; unique within a source, without folder and suffix.
        label: (H, W) uint8 class map if the source is labelled, else None.
        seconds: time stamp of the source, 0 at its first frame; None if there is only a rate.
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
        text: drawn beside it.
        alert: whether it is drawn in red.
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
        shares: (classes,) float64, share of the picture per class, 0..1; None if no sink wants it.
        overlay: (H, W, 3) uint8, BGR, the drawn frame; None if no sink wants it.
        blended: (H, W, 3) uint8, BGR, the frame with class colours over it, if the session made it;
            None leaves that to the drawing stage.
        marks: zones with their measurements, drawn on ``overlay`` and on the page.
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
