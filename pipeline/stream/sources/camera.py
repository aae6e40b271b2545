"""A camera of this machine, by number or device file."""

from __future__ import annotations

import logging
import os
import re

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
    # Seconds that V4L2 waits for a frame; OpenCV's default is ten.
    os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "1")
    said: set[str] = set()  # each warning is logged once, not at every connection

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
    """Set the options; return those that the driver did not take, as (name, wanted, got)."""
    # The format first: it decides which sizes there are, and the size decides the rates.
    if asked.fourcc is not None:
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*asked.fourcc))
    if asked.size is not None:
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, asked.size[0])
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, asked.size[1])
    if asked.fps is not None:
        capture.set(cv2.CAP_PROP_FPS, asked.fps)
    # One buffer, if the driver allows it: frames would grow old in a queue.
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    code, fps = capture.get(cv2.CAP_PROP_FOURCC), capture.get(cv2.CAP_PROP_FPS)
    width, height = capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
    code_bytes = int(code).to_bytes(4, "little") if 1 <= code < 1 << 32 else b""
    given_size = f"{width:.0f}x{height:.0f}" if width > 0 else ""
    settings = (
        ("format", asked.fourcc or "", code_bytes.decode("ascii", "replace")),
        ("size", "{}x{}".format(*asked.size) if asked.size else "", given_size),
        ("rate", f"{asked.fps:g}" if asked.fps else "", f"{fps:g}" if fps > 0 else ""),
    )
    return [(name, want, got) for name, want, got in settings if want and got and want != got]


def _backend() -> int:
    """Return V4L2 if OpenCV has it; OpenCV might try GStreamer first, which ignores the options."""
    has_v4l2 = cv2.CAP_V4L2 in cv2.videoio_registry.getCameraBackends()
    return cv2.CAP_V4L2 if has_v4l2 else cv2.CAP_ANY


def _present() -> str:
    """Describe the cameras of this machine for an error."""
    found = [str(camera) for camera in cameras()]
    return f"this machine has {', '.join(found)}" if found else "this machine has none"
