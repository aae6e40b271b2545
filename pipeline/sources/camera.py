"""A camera of this machine, by number or device file."""

from __future__ import annotations

import os
import re
from pathlib import Path

import cv2

from pipeline.errors import SourceError
from pipeline.sources.base import Source, SourceOptions, quiet_opencv
from pipeline.sources.capture import LiveCapture

_DEVICE = re.compile(r"(?:/dev/video)?(\d+)", re.ASCII)


def matches(text: str) -> bool:
    """A number such as ``0``, or ``/dev/video0``."""
    return _DEVICE.fullmatch(text) is not None


def open_camera(text: str, _options: SourceOptions) -> Source:
    """Open a V4L2 or USB camera through OpenCV.

    Raises:
        SourceError: the camera is not there, is used by another program, or gives no picture.
    """
    number = int(text.removeprefix("/dev/video"))
    quiet_opencv()
    # Seconds that V4L2 waits for a frame; OpenCV's own default is ten.
    os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "1")
    capture = cv2.VideoCapture(number)
    # One buffer, where the driver agrees: a queue in the driver is age that nobody sees.
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    if not capture.isOpened() or not capture.grab():
        capture.release()
        raise SourceError(
            f"camera {number} gives no picture; {_cameras()}; check that it is plugged in "
            "and that no other program uses it, or use the source synthetic"
        )
    return LiveCapture(f"camera {number}", capture, "check its cable and run again")


def _cameras() -> str:
    """The cameras of this machine in words."""
    devices = sorted(path.name for path in Path("/dev").glob("video*"))
    return f"this machine has {', '.join(devices)}" if devices else "this machine has none"
