"""Display of videos with non-square pixels or mirrored pictures, as players do it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.scenes.mp4 import VideoTrack, read_video_track

Image = NDArray[np.uint8]

#: Pixels count as square up to this difference, since encoders round their aspect.
_SQUARE = 0.004
#: A larger aspect means a damaged header.
_WIDEST = 8.0


@dataclass(frozen=True)
class Shape:
    """What has to be done with decoded frames.

    Attributes:
        aspect: width of a pixel over its height, of the frame as it is shown.
        matrix: of a mirrored picture, see ``VideoTrack``; None if OpenCV turns it correctly.
        track: of an MP4 file, None for others.
    """

    aspect: float = 1.0
    matrix: tuple[float, float, float, float] | None = None
    track: VideoTrack | None = None

    def shown(self, image: Image) -> Image:
        """Return a frame, (H, W, 3) BGR, as it is displayed; it is only ever enlarged."""
        if self.matrix is not None:
            image = _moved(image, self.matrix)
        if self.aspect == 1.0:
            return image
        height, width = image.shape[:2]
        if self.aspect > 1:
            size = (max(1, round(width * self.aspect)), height)
        else:
            size = (width, max(1, round(height / self.aspect)))
        return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def shape_of(path: Path, capture: cv2.VideoCapture) -> Shape:
    """Read the shape of an opened file; for a mirrored one OpenCV's turning is switched off."""
    track = read_video_track(path)
    matrix = None
    turned = int(capture.get(cv2.CAP_PROP_ORIENTATION_META)) % 180 == 90
    if track is not None and track.mirrored:
        # OpenCV knows only rotations, and would turn a mirrored picture upside down.
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)
        matrix = track.matrix
        turned = abs(matrix[1]) > abs(matrix[0])
    above, below = capture.get(cv2.CAP_PROP_SAR_NUM), capture.get(cv2.CAP_PROP_SAR_DEN)
    aspect = above / below if above > 0 and below > 0 else 1.0
    if abs(aspect - 1) < _SQUARE or not 1 / _WIDEST <= aspect <= _WIDEST:
        aspect = 1.0
    return Shape(1 / aspect if turned else aspect, matrix, track)


def _moved(image: Image, matrix: tuple[float, float, float, float]) -> Image:
    a, b, c, d = matrix
    if abs(a) >= abs(b):
        flipped = image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    else:  # x' = c y, y' = b x
        flipped = image.transpose(1, 0, 2)[:: -1 if b < 0 else 1, :: -1 if c < 0 else 1]
    return np.ascontiguousarray(flipped)
