"""A CSI camera of a Jetson, through GStreamer's ``nvarguscamerasrc``."""

from __future__ import annotations

import re

import cv2

from pipeline.errors import SourceError
from pipeline.stream.sources.base import CameraOptions, Source, SourceOptions, quiet_opencv
from pipeline.stream.sources.connection import Capture
from pipeline.stream.sources.devices import has_gstreamer
from pipeline.stream.sources.reconnect import LiveSource

_FORM = re.compile(r"csi(?::(\d{1,6}))?", re.ASCII)
#: Frames stay in NVMM memory until ``nvvidconv`` copies them; the sink keeps only the newest.
_PIPELINE = (
    "nvarguscamerasrc sensor-id={sensor} ! "
    "video/x-raw(memory:NVMM), width={width}, height={height}, framerate={rate} ! "
    "nvvidconv ! video/x-raw, format=BGRx ! videoconvert ! video/x-raw, format=BGR ! "
    "appsink drop=true max-buffers=1 sync=false"
)

#: Seconds until the first frame: before it, Argus starts the sensor and adjusts the exposure.
_OPENING = 10.0


def matches(text: str) -> bool:
    """``csi``, or ``csi:`` and the number of the sensor."""
    return text == "csi" or text.startswith("csi:")


def open_csi(text: str, options: SourceOptions) -> Source:
    """Open a sensor; size and rate are 1280x720 at 30 fps unless asked for otherwise.

    Raises:
        SourceError: OpenCV has no GStreamer, the sensor is not there, or it gives no picture.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise SourceError(f"source {text} names no sensor; give csi or csi:NUMBER, such as csi:1")
    if not has_gstreamer():
        raise SourceError(
            f"source {text} needs an OpenCV with GStreamer; this one ({cv2.__version__}) has none, "
            "like all from PyPI; on a Jetson use JetPack's: make the environment with "
            "--system-site-packages and remove opencv-python from it"
        )
    quiet_opencv()
    name, sensor = text, int(found[1] or 0)

    def connect() -> Capture:
        capture = cv2.VideoCapture(pipeline(sensor, options.camera), cv2.CAP_GSTREAMER)
        if not capture.isOpened():
            capture.release()
            raise SourceError(
                f"{name} gives no picture; check the sensor's cable and number, that "
                "`gst-inspect-1.0 nvarguscamerasrc` finds it and that nvargus-daemon runs"
            )
        return capture

    remedy = "check its cable, and restart nvargus-daemon"
    return LiveSource(name, connect, remedy, options.retries, opening=_OPENING)


def pipeline(sensor: int, asked: CameraOptions) -> str:
    """Text of the GStreamer pipeline for OpenCV."""
    width, height = asked.size or (1280, 720)
    numerator = round((asked.fps or 30.0) * 1000)
    rate = f"{numerator // 1000}/1" if numerator % 1000 == 0 else f"{numerator}/1000"
    return _PIPELINE.format(sensor=sensor, width=width, height=height, rate=rate)
