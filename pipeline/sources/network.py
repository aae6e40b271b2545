"""A camera on the network, by URL: what OpenCV's FFmpeg reads (RTSP, HTTP MJPEG, ...)."""

from __future__ import annotations

import cv2

from pipeline.errors import SourceError
from pipeline.sources.base import Source, SourceOptions, quiet_opencv
from pipeline.sources.capture import LiveCapture

_TIMEOUT_MS = 1000


def matches(text: str) -> bool:
    """Anything with a scheme, such as ``rtsp://`` or ``http://``."""
    return "://" in text


def open_network(text: str, _options: SourceOptions) -> Source:
    """Connect to a URL; connecting and reading time out after a second.

    Raises:
        SourceError: nothing answers, or what answers is no video.
    """
    quiet_opencv()
    timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _TIMEOUT_MS]
    timeouts += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, _TIMEOUT_MS]
    capture = cv2.VideoCapture(text, cv2.CAP_FFMPEG, timeouts)
    name = _without_password(text)
    if not capture.isOpened():
        raise SourceError(
            f"{name} gives no video within {_TIMEOUT_MS} ms; "
            "check the address, the port and that the camera is on"
        )
    return LiveCapture(name, capture, "check the camera and the network, and run again")


def _without_password(url: str) -> str:
    """URL as it may be shown: no user and no password."""
    scheme, rest = url.split("://", 1)
    authority, slash, path = rest.partition("/")
    return f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"
