"""Finds by a trial whether this machine decodes video in hardware; slow, for ``doctor`` only."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np

from pipeline.stream.sources.base import quiet_opencv
from pipeline.stream.sources.devices import acceleration_of


def hardware_decoder() -> str | None:
    """Decode a generated H.264 video; return the hardware that OpenCV used, None for the processor.

    OpenCV falls back to the processor if the hardware refuses a stream. Without PyAV no video can
    be generated, and the returned text says so.
    """
    try:
        import av
    except ImportError:
        return "not tried: PyAV is not installed"
    quiet_opencv()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "probe.mp4"
        try:
            _write_h264(av, path)
        except (av.FFmpegError, ValueError):  # an FFmpeg without an encoder
            return None
        asked = [cv2.CAP_PROP_HW_ACCELERATION, cv2.VIDEO_ACCELERATION_ANY]
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, asked)
        try:
            decoded = capture.isOpened() and capture.read()[0]
            return acceleration_of(capture) if decoded else None
        finally:
            capture.release()


def _write_h264(av: ModuleType, path: Path) -> None:
    """Write ten grey frames of 320x240; some hardware refuses smaller ones."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("h264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for grey in range(10):
            image = np.full((240, 320, 3), grey, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode())
