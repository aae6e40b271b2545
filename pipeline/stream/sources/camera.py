"""A camera of this machine, by number or device file."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable

import cv2

from pipeline.errors import SourceError
from pipeline.stream.sources.base import CameraOptions, Source, SourceOptions, quiet_opencv
from pipeline.stream.sources.connection import Capture
from pipeline.stream.sources.devices import cameras
from pipeline.stream.sources.reconnect import LiveSource

log = logging.getLogger(__name__)

_DEVICE = re.compile(r"(?:/dev/video)?(\d{1,6})", re.ASCII)


def matches(text: str) -> bool:
    """A number such as ``0``, or ``/dev/video0``."""
    return _DEVICE.fullmatch(text) is not None


def open_camera(text: str, options: SourceOptions) -> Source:
    """Open a V4L2 or USB camera through OpenCV.

    Raises:
        SourceError: the camera is not there, is used by another program, or gives no picture.
    """
    number = int(text.removeprefix("/dev/video"))
    quiet_opencv()
    # Seconds that V4L2 waits for a frame; OpenCV's own default is ten.
    os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "1")
    said: set[str] = set()  # over all connections: a driver that disagrees does so every time

    def connect() -> Capture:
        return _connect(number, options.camera, said)

    return LiveSource(f"camera {number}", connect, "check its cable", options.retries)


def _connect(number: int, asked: CameraOptions, said: set[str]) -> Capture:
    capture = cv2.VideoCapture(number, _backend())
    if not capture.isOpened():
        capture.release()
        raise SourceError(
            f"camera {number} gives no picture; {_present()}; check that it is plugged in and "
            "that no other program uses it, or use the source synthetic"
        )
    for name, wanted, got in _ask(capture, asked):
        line = f"camera {number} was asked for {name} {wanted} and gives {got}"
        if line not in said:
            log.warning("%s; `v4l2-ctl --list-formats-ext` lists what it can give", line)
        said.add(line)
    return capture


def _ask(capture: cv2.VideoCapture, asked: CameraOptions) -> list[tuple[str, str, str]]:
    """Set the options; those that the driver did not take, as (name, wanted, got)."""
    # The format first: it decides which sizes there are, and these decide the rates.
    if asked.fourcc is not None:
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*asked.fourcc))
    if asked.size is not None:
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, asked.size[0])
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, asked.size[1])
    if asked.fps is not None:
        capture.set(cv2.CAP_PROP_FPS, asked.fps)
    # One buffer, where the driver agrees: a queue in the driver is age that nobody sees.
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    wanted = {
        "format": asked.fourcc,
        "size": None if asked.size is None else "{}x{}".format(*asked.size),
        "rate": None if asked.fps is None else f"{asked.fps:g}",
    }
    refused = []
    for name, want in wanted.items():
        if want is not None and (got := _GIVEN[name](capture)) not in (want, ""):
            refused.append((name, want, got))
    return refused


def _format(capture: Capture) -> str:
    code = int(capture.get(cv2.CAP_PROP_FOURCC))
    return code.to_bytes(4, "little").decode("ascii", "replace") if 0 < code < 1 << 32 else ""


def _size(capture: Capture) -> str:
    width = capture.get(cv2.CAP_PROP_FRAME_WIDTH)
    return f"{width:.0f}x{capture.get(cv2.CAP_PROP_FRAME_HEIGHT):.0f}" if width > 0 else ""


def _rate(capture: Capture) -> str:
    fps = capture.get(cv2.CAP_PROP_FPS)
    return f"{fps:g}" if fps > 0 else ""


#: What a driver says of itself; empty where it says nothing.
_GIVEN: dict[str, Callable[[Capture], str]] = {"format": _format, "size": _size, "rate": _rate}


def _backend() -> int:
    """V4L2 where OpenCV has it; a GStreamer asked before it would ignore the options."""
    has_v4l2 = cv2.CAP_V4L2 in cv2.videoio_registry.getCameraBackends()
    return cv2.CAP_V4L2 if has_v4l2 else cv2.CAP_ANY


def _present() -> str:
    """The cameras of this machine in words."""
    found = [str(camera) for camera in cameras()]
    return f"this machine has {', '.join(found)}" if found else "this machine has none"
