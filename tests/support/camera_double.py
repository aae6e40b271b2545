"""A camera behind the interface of ``cv2.VideoCapture`` that misbehaves on command."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
import pytest

#: What a driver may return instead of a picture.
GARBAGE: tuple[Any, ...] = (
    None,
    np.empty((0, 0, 3), np.uint8),
    np.zeros((48, 64, 3), np.float32),
    np.zeros((48, 64), np.uint8),
    "text",
)


class CameraDouble:
    """One camera, over all captures that open it; each frame has its number in its first pixels.

    Attributes:
        there: it can be opened, and its captures deliver frames.
        stalled: reads hang until it is reset.
        size: width and height of its frames; ``set`` changes it if ``obeys``.
        garbage: delivered instead of frames.
        grabs: called at each grab; raises what a broken driver raises.
        settings: properties by number; ``asked`` is the order in which they were set.
        arguments: of the last ``cv2.VideoCapture``.
        opened, released: captures so far.
    """

    def __init__(self, fps: float = 100.0, size: tuple[int, int] = (64, 48)) -> None:
        self.there = True
        self.stalled = False
        self.obeys = True
        self.size = size
        self.garbage: Iterator[Any] = iter(())
        self.settings: dict[int, float] = {cv2.CAP_PROP_FPS: fps}
        self.asked: list[int] = []
        self.opened = 0
        self.released = 0
        self.made = 0
        self.interval = 1 / fps
        self.attempts: list[float] = []
        self.arguments: tuple[object, ...] = ()
        self.on_grab: Callable[[], None] = lambda: None

    def open(self, *arguments: object) -> CaptureDouble:
        self.arguments = arguments
        self.attempts.append(time.monotonic())
        return CaptureDouble(self)


class CaptureDouble:
    """What ``cv2.VideoCapture`` of a ``CameraDouble`` is."""

    def __init__(self, camera: CameraDouble) -> None:
        self._camera = camera
        self._open = self._was_open = camera.there
        self._number = 0
        self._thread = threading.current_thread()
        camera.opened += self._open

    def isOpened(self) -> bool:  # noqa: N802
        return self._open

    def set(self, propId: int, value: float) -> bool:  # noqa: N803
        self._camera.asked.append(propId)
        if self._camera.obeys:
            self._camera.settings[propId] = value
            width = self._camera.settings.get(cv2.CAP_PROP_FRAME_WIDTH, self._camera.size[0])
            height = self._camera.settings.get(cv2.CAP_PROP_FRAME_HEIGHT, self._camera.size[1])
            self._camera.size = (int(width), int(height))
        return self._camera.obeys

    def get(self, propId: int) -> float:  # noqa: N803
        sides = (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        if propId in sides:
            return float(self._camera.size[sides.index(propId)])
        return self._camera.settings.get(propId, -1.0)

    def grab(self) -> bool:
        assert threading.current_thread() is self._thread, "a capture belongs to one thread"
        self._camera.on_grab()
        time.sleep(self._camera.interval)
        while self._camera.stalled:
            time.sleep(0.005)
        if self._open and self._camera.there:
            self._number = self._camera.made
            self._camera.made += 1
            return True
        self._open = False
        return False

    def retrieve(self) -> tuple[bool, Any]:
        nothing = object()
        if (garbage := next(self._camera.garbage, nothing)) is not nothing:
            return garbage is not None, garbage
        width, height = self._camera.size
        image = np.zeros((height, width, 3), np.uint8)
        image[0, 0] = self._number >> 16, self._number >> 8 & 255, self._number & 255
        return True, image

    def release(self) -> None:
        assert threading.current_thread() is self._thread, "a capture belongs to one thread"
        self._camera.released += self._was_open


def number_of(image: np.ndarray) -> int:
    """Which frame of the camera it is."""
    high, middle, low = (int(value) for value in image[0, 0])
    return high << 16 | middle << 8 | low


@contextmanager
def plugged_in(camera: CameraDouble) -> Iterator[CameraDouble]:
    """Make ``cv2.VideoCapture`` always open the camera."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cv2, "VideoCapture", camera.open)
        try:
            yield camera
        finally:
            camera.stalled = False  # lets threads end that hang in it
