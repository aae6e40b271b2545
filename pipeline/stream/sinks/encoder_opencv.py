"""MPEG-4 part 2 through OpenCV: the fallback where PyAV is not installed."""

from __future__ import annotations

import errno
from pathlib import Path

import cv2

from pipeline.stream.frame import Image
from pipeline.stream.sinks.encoder import Encoder, VideoFormat
from pipeline.stream.sinks.output_file import MARK


class OpenCvEncoder(Encoder):
    """Encodes at a constant frame rate; the times of a live source's frames are lost.

    OpenCV does not report failed writes, so the finished file is opened and its frames counted.
    """

    def __init__(self, path: Path, form: VideoFormat) -> None:
        self._path = path.absolute()  # FFmpeg would read 10:30.mp4 as an address
        self._frames = 0
        codec = cv2.VideoWriter.fourcc(*"mp4v")
        self._writer = cv2.VideoWriter(str(self._path), codec, form.fps, (form.width, form.height))
        if not self._writer.isOpened():
            raise OSError(errno.EIO, "OpenCV cannot write video here; pip install av")

    def add(self, image: Image, seconds: float) -> None:
        """Encode one picture; ``seconds`` is ignored."""
        self._writer.write(image)
        self._frames += 1

    def close(self) -> None:
        """Finish the file, check that it is complete, and mark it as ours."""
        self._writer.release()
        check = cv2.VideoCapture(str(self._path))
        counted = int(check.get(cv2.CAP_PROP_FRAME_COUNT)) if check.isOpened() else 0
        check.release()
        if counted < self._frames:
            raise OSError(errno.EIO, f"only {counted} of {self._frames} frames are in it")
        with self._path.open("ab") as file:
            file.write(_marked_space(self._path.suffix.lower()))


def _marked_space(suffix: str) -> bytes:
    """Return a part of the container that players skip, with our mark in it.

    mp4: a box of type ``free`` (ISO/IEC 14496-12). mkv: a Void element (RFC 8794, 0xEC).
    """
    mark = MARK.encode()
    if suffix == ".mp4":
        return (len(mark) + 8).to_bytes(4, "big") + b"free" + mark
    return b"\xec" + (0x80 | len(mark)).to_bytes(1, "big") + mark
