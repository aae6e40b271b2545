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

#: Seconds until the first picture, which may have to wait for the next that does not depend on
#: others: seconds apart with many cameras. FFmpeg ends by itself when nothing comes; GStreamer may
#: not.
_FFMPEG_OPENING, _GSTREAMER_OPENING = 10.0, 4.0

#: FFmpeg looks at a stream, at its rate above all, for up to five seconds before it gives the first
#: frame. OpenCV has no other way to ask for less, and up to 4.6 a look that takes more than a
#: second spoils its reads. RTSP over TCP is what OpenCV asks for itself, without this.
_FFMPEG_OPTIONS = "rtsp_flags;prefer_tcp|fpsprobesize;0|analyzeduration;400000"

#: From a Jetson's decoder to pixels in the memory of the processor.
_FROM_JETSON = "nvvidconv ! video/x-raw, format=BGRx ! videoconvert"


def matches(text: str) -> bool:
    """Anything with a scheme, such as ``rtsp://`` or ``http://``."""
    return "://" in text


def open_network(text: str, options: SourceOptions) -> Source:
    """Connect to a URL; connecting and reading time out after a second.

    Raises:
        SourceError: nothing answers, or what answers is no video.
    """
    quiet_opencv()
    name = without_password(text)
    on_jetson = options.hardware and _is_for_jetson(text)

    def connect() -> Capture:
        capture = _gstreamer(text) if on_jetson else _ffmpeg(text, options.hardware)
        return _checked(capture, text, name)

    opening = _GSTREAMER_OPENING if on_jetson else _FFMPEG_OPENING
    remedy = "check the camera and the network"
    return LiveSource(name, connect, remedy, options.retries, opening)


def _ffmpeg(url: str, hardware: bool) -> cv2.VideoCapture:
    asked = {
        "CAP_PROP_OPEN_TIMEOUT_MSEC": _TIMEOUT_MS,
        "CAP_PROP_READ_TIMEOUT_MSEC": _TIMEOUT_MS,
        # Each further thread of the decoder holds one frame back: measured at 25 fps, frames that
        # are 48 ms old with one thread are 87 ms old with two and 335 ms with eight.
        "CAP_PROP_N_THREADS": 1,
    }
    if hardware:  # OpenCV takes the processor where there is none or it refuses the stream
        asked["CAP_PROP_HW_ACCELERATION"] = cv2.VIDEO_ACCELERATION_ANY
    # Asked for what it does not know, an older OpenCV opens nothing.
    known = [(getattr(cv2, key), value) for key, value in asked.items() if hasattr(cv2, key)]
    with expect_stream(_FFMPEG_OPTIONS):
        return cv2.VideoCapture(url, cv2.CAP_FFMPEG, [number for pair in known for number in pair])


def _gstreamer(url: str) -> cv2.VideoCapture:
    return cv2.VideoCapture(rtsp_pipeline(url), cv2.CAP_GSTREAMER)


def _is_for_jetson(url: str) -> bool:
    """Whether a Jetson's decoder can take the stream, which no FFmpeg reaches."""
    is_rtsp = url.lower().startswith("rtsp")
    return is_rtsp and has_gstreamer() and bool(gstreamer_elements(["nvv4l2decoder"]))


def rtsp_pipeline(url: str, convert: str = _FROM_JETSON) -> str:
    """Text of a GStreamer pipeline for OpenCV that decodes with the best decoder that is there."""
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
    # RTSP servers play a file from its start for whoever comes, which is as good as a camera.
    if url.lower().startswith("http") and 0 < count < 1e9:
        capture.release()
        raise SourceError(
            f"{name} is a file of {count:.0f} frames and no camera; download it and give its path"
        )
    return capture
