"""Opening a video by its path, whatever its name is; whether it has times for its frames."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2

from calibration.scenes.containers import expect_file

#: How streams without a container begin; they hold no times. An MPEG program stream begins alike
#: (00 00 01 BA) and has them.
_ANNEX_B = (b"\x00\x00\x01", b"\x00\x00\x00\x01")
_RAW = (b"\xff\xd8\xff", b"\x12\x00\x0a")  # JPEG after JPEG; AV1 units


def open_capture(path: Path) -> cv2.VideoCapture:
    """Open a video file with OpenCV, by FFmpeg where OpenCV has it.

    A path is made absolute, since FFmpeg takes ``10:30.mp4`` for an address, and FFmpeg is not
    fooled into seeing a series of pictures in a name.
    """
    has_ffmpeg = cv2.CAP_FFMPEG in cv2.videoio_registry.getStreamBackends()
    with expect_file(), library_path(path) as name:
        return cv2.VideoCapture(name, cv2.CAP_FFMPEG if has_ffmpeg else cv2.CAP_ANY)


@contextmanager
def library_path(path: Path) -> Iterator[str]:
    """Yield a name by which a library can open an existing file.

    Libraries want UTF-8, while names of files are bytes; one that is none is opened here, and the
    library is given the kernel's name of the open file.
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
    """Whether a file is a bare stream of coded pictures, without a container that times them."""
    with path.open("rb") as file:
        head = file.read(4)
    if head.startswith(_ANNEX_B):
        return head != b"\x00\x00\x01\xba"
    return head.startswith(_RAW)


def quiet_opencv() -> None:
    """Keep OpenCV and its FFmpeg from writing to standard error; our own errors say it in words.

    A level that the user set in the environment stays.
    """
    # Older builds, as of Linux distributions and JetPack, leave the level to the environment.
    if "OPENCV_LOG_LEVEL" not in os.environ and hasattr(cv2.utils, "logging"):
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    # Read by OpenCV when its FFmpeg starts, with the first video that is opened; -8 is "quiet".
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
