"""The one interface of video encoders."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from pipeline.frame import Image


@dataclass(frozen=True)
class VideoFormat:
    """Size in pixels (both even) and nominal frames per second of a video."""

    width: int
    height: int
    fps: float


class Encoder(ABC):
    """Pictures into a video file; every failure to write is an ``OSError``.

    Args of every kind: the path, whose suffix names the container, and the format.
    """

    @abstractmethod
    def __init__(self, path: Path, form: VideoFormat) -> None:
        """Open the file."""

    @abstractmethod
    def add(self, image: Image, seconds: float) -> None:
        """Encode a (height, width, 3) uint8 BGR picture to be shown at ``seconds``."""

    @abstractmethod
    def close(self) -> None:
        """Finish the file."""
