"""Small videos, written and read with OpenCV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np


def write_video(
    path: Path, images: Sequence[np.ndarray], codec: str = "mp4v", fps: float = 25.0
) -> Path:
    """Write pictures of equal size; return the path."""
    height, width = images[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, (width, height))
    assert writer.isOpened()
    for image in images:
        writer.write(image)
    writer.release()
    return path


def read_video(path: Path) -> tuple[list[np.ndarray], list[float]]:
    """Return all frames, and the time in seconds at which each is shown."""
    capture = cv2.VideoCapture(str(path))
    frames, moments = [], []
    while True:
        arrived, image = capture.read()
        if not arrived:
            return frames, moments
        frames.append(image)
        moments.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3)
