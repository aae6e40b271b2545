"""The one interface of video encoders."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from pipeline.frame import Image


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
    """Pictures into a video file; every failure to write is an ``OSError``.

    Args of every kind: the path, whose suffix names the container, and the format.

    Attributes:
        make_room: asked on a full disk whether there is room now, by those that can.
    """

    make_room: Callable[[], bool] = staticmethod(lambda: False)

    @abstractmethod
    def __init__(self, path: Path, form: VideoFormat) -> None:
        """Open the file."""

    @abstractmethod
    def add(self, image: Image, seconds: float) -> None:
        """Encode a (height, width, 3) uint8 BGR picture to be shown at ``seconds``."""

    @abstractmethod
    def close(self) -> None:
        """Finish the file."""


def even(image: Image, size: tuple[int, int]) -> Image:
    """Bring a picture to ``size`` (width, height), then both sides to even numbers."""
    if (image.shape[1], image.shape[0]) != size:
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    right, below = size[0] % 2, size[1] % 2
    if right or below:
        padded = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE)
        image = np.asarray(padded, dtype=np.uint8)
    return image


def plays(path: Path) -> bool:
    """Whether there is a picture in a video."""
    video = cv2.VideoCapture(str(path))
    try:
        return path.exists() and bool(video.read()[0])
    finally:
        video.release()
