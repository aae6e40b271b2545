"""A camera on the network, by URL: what OpenCV's FFmpeg reads (RTSP, HTTP MJPEG, ...)."""

from __future__ import annotations

import logging

import cv2

from calibration.scenes.containers import expect_stream
from pipeline.errors import SourceError
from pipeline.stream.redact import without_password
from pipeline.stream.sources.base import Source, SourceOptions, quiet_opencv
from pipeline.stream.sources.connection import Capture
from pipeline.stream.sources.devices import acceleration_of, gstreamer_elements, has_gstreamer
from pipeline.stream.sources.reconnect import LiveSource

log = logging.getLogger(__name__)

_TIMEOUT_MS = 1000

#: Seconds until the first picture. Decoding starts at a key frame, and with many cameras these are
#: seconds apart. FFmpeg gives up by itself when nothing comes; GStreamer may not.
_FFMPEG_OPENING, _GSTREAMER_OPENING = 10.0, 4.0

#: FFmpeg analyses a stream, above all its rate, for up to five seconds before the first frame. Only
#: these options shorten that; up to OpenCV 4.6, reads fail if it takes more than a second. They
#: replace OpenCV's own, which ask for RTSP over TCP, too.
_FFMPEG_OPTIONS = "rtsp_flags;prefer_tcp|fpsprobesize;0|analyzeduration;400000"

#: From a Jetson's decoder to pixels in the processor's memory.
_FROM_JETSON = "nvvidconv ! video/x-raw, format=BGRx ! videoconvert"


def matches(text: str) -> bool:
    """Anything with a scheme, such as ``rtsp://`` or ``http://``."""
    return "://" in text


def open_network(text: str, options: SourceOptions) -> Source:
    """Connect to a URL; connecting and reading time out after a second.

    Raises:
        SourceError: nothing answers, or the answer is not a video.
    """
    quiet_opencv()
    name = without_password(text)
    on_jetson = options.hardware and _is_for_jetson(text)

    def connect() -> Capture:
        if on_jetson:
            capture = cv2.VideoCapture(rtsp_pipeline(text), cv2.CAP_GSTREAMER)
        else:
            capture = _ffmpeg(text, options.hardware)
        return _checked(capture, text, name)

    opening = _GSTREAMER_OPENING if on_jetson else _FFMPEG_OPENING
    remedy = "check the camera and the network"
    return LiveSource(name, connect, remedy, options.retries, opening)


def _ffmpeg(url: str, hardware: bool) -> cv2.VideoCapture:
    asked = {
        "CAP_PROP_OPEN_TIMEOUT_MSEC": _TIMEOUT_MS,
        "CAP_PROP_READ_TIMEOUT_MSEC": _TIMEOUT_MS,
        # Each further decoder thread delays frames by one: measured at 25 fps, a frame is 48 ms old
        # with one thread, 87 ms with two and 335 ms with eight.
        "CAP_PROP_N_THREADS": 1,
    }
    if hardware:  # without hardware, or if it refuses the stream, OpenCV uses the processor
        asked["CAP_PROP_HW_ACCELERATION"] = cv2.VIDEO_ACCELERATION_ANY
    # An older OpenCV fails to open with a property that it does not know.
    known = [(getattr(cv2, key), value) for key, value in asked.items() if hasattr(cv2, key)]
    with expect_stream(_FFMPEG_OPTIONS):
        return cv2.VideoCapture(url, cv2.CAP_FFMPEG, [number for pair in known for number in pair])


def _is_for_jetson(url: str) -> bool:
    """Whether the stream can be decoded by a Jetson's decoder, which needs GStreamer."""
    is_rtsp = url.lower().startswith("rtsp")
    return is_rtsp and has_gstreamer() and bool(gstreamer_elements(["nvv4l2decoder"]))


def rtsp_pipeline(url: str, convert: str = _FROM_JETSON) -> str:
    """Return a GStreamer pipeline for OpenCV that decodes with the best decoder of the machine."""
    quoted = url.replace("\\", "\\\\").replace('"', '\\"')
    microseconds = _TIMEOUT_MS * 1000
    return (
        f'rtspsrc location="{quoted}" protocols=tcp latency=0 drop-on-latency=true '
        f"timeout={microseconds} tcp-timeout={microseconds} ! decodebin ! {convert} ! "
        "video/x-raw, format=BGR ! appsink drop=true max-buffers=1 sync=false"
    )


def _checked(capture: cv2.VideoCapture, url: str, name: str) -> Capture:
    if not capture.isOpened():
        capture.release()
        raise SourceError(
            f"{name} gives no video within {_TIMEOUT_MS} ms; "
            "check the address, the port and that the camera is on"
        )
    log.debug("%s is decoded by %s", name, acceleration_of(capture) or "the processor")
    count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    # Files over RTSP are allowed: the server plays them like a camera.
    if url.lower().startswith("http") and 0 < count < 1e9:
        capture.release()
        raise SourceError(
            f"{name} is a file of {count:.0f} frames, not a camera; download it and give its path"
        )
    return capture
