"""The one interface of video encoders."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from pipeline.stream.frame import Image


@dataclass(frozen=True)
class VideoFormat:
    """Size in pixels (both even) and nominal frames per second of a video."""

    width: int
    height: int
    fps: float

    @classmethod
    def of(cls, size: tuple[int, int], fps: float) -> VideoFormat:
        """Format for pictures of ``size`` (width, height), once they are made ``even``."""
        return cls(size[0] + size[0] % 2, size[1] + size[1] % 2, fps)


class Encoder(ABC):
    """Encodes pictures into a video file; every failure to write is an ``OSError``.

    Attributes:
        make_room: called on a full disk; returns whether it made room.
    """

    make_room: Callable[[], bool] = staticmethod(lambda: False)

    @abstractmethod
    def __init__(self, path: Path, form: VideoFormat) -> None:
        """Open the file; the suffix of ``path`` names the container."""

    @abstractmethod
    def add(self, image: Image, seconds: float) -> None:
        """Encode a (height, width, 3) uint8 BGR picture to be shown at ``seconds``."""

    @abstractmethod
    def close(self) -> None:
        """Finish the file."""


def even(image: Image, size: tuple[int, int]) -> Image:
    """Resize a picture to ``size`` (width, height), then pad both sides to even numbers.

    A picture of another aspect ratio keeps it; black bars fill the rest.
    """
    if (image.shape[1], image.shape[0]) != size:
        image = _fitted(image, size)
    right, below = size[0] % 2, size[1] % 2
    if right or below:
        padded = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE)
        image = np.asarray(padded, dtype=np.uint8)
    return image


def _fitted(image: Image, size: tuple[int, int]) -> Image:
    height, width = image.shape[:2]
    scale = min(size[0] / width, size[1] / height)
    inner = (
        min(size[0], max(1, round(width * scale))),
        min(size[1], max(1, round(height * scale))),
    )
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    resized = image if inner == (width, height) else cv2.resize(image, inner, interpolation=how)
    left, top = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    right, below = size[0] - inner[0] - left, size[1] - inner[1] - top
    padded = cv2.copyMakeBorder(resized, top, below, left, right, cv2.BORDER_CONSTANT)
    return np.asarray(padded, dtype=np.uint8)


def plays(path: Path) -> bool:
    """Whether the first picture of a video can be read."""
    video = cv2.VideoCapture(str(path))
    try:
        return path.exists() and bool(video.read()[0])
    finally:
        video.release()
