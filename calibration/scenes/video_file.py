"""Opening a video file with any name, and whether its frames have time stamps."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2

from calibration.scenes.containers import expect_file

#: First bytes of streams without a container, which have no time stamps. An MPEG program stream
#: begins alike (00 00 01 BA) but has them.
_ANNEX_B = (b"\x00\x00\x01", b"\x00\x00\x00\x01")
_RAW = (b"\xff\xd8\xff", b"\x12\x00\x0a")  # JPEG after JPEG; AV1 units


def open_capture(path: Path) -> cv2.VideoCapture:
    """Open a video file with OpenCV, by FFmpeg where OpenCV has it.

    The path is made absolute, since FFmpeg takes ``10:30.mp4`` for an address; a name such as
    ``%03d.mp4`` is not taken for a series of pictures.
    """
    has_ffmpeg = cv2.CAP_FFMPEG in cv2.videoio_registry.getStreamBackends()
    with expect_file(), library_path(path) as name:
        return cv2.VideoCapture(name, cv2.CAP_FFMPEG if has_ffmpeg else cv2.CAP_ANY)


@contextmanager
def library_path(path: Path) -> Iterator[str]:
    """Yield a name by which a library can open an existing file.

    Libraries need UTF-8, while file names are any bytes; a file with another name is opened here,
    and the library gets its path in /proc.
    """
    absolute = os.path.abspath(path)
    try:
        absolute.encode()
    except UnicodeEncodeError:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:
        yield absolute


def has_no_times(path: Path) -> bool:
    """Whether a file is a stream of coded pictures without a container, so without time stamps."""
    with path.open("rb") as file:
        head = file.read(4)
    if head.startswith(_ANNEX_B):
        return head != b"\x00\x00\x01\xba"
    return head.startswith(_RAW)


def quiet_opencv() -> None:
    """Keep OpenCV and its FFmpeg from writing to standard error, since our errors say the same.

    A level that the user set in the environment stays.
    """
    # Older builds, such as those of Linux distributions and JetPack, only read the environment.
    if "OPENCV_LOG_LEVEL" not in os.environ and hasattr(cv2.utils, "logging"):
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    # Read by OpenCV when its FFmpeg starts, with the first video that is opened; -8 is "quiet".
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
