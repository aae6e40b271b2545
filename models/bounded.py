"""Limits on the size of files that are read whole, and of pictures."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

#: Environment variable of OpenCV's limit on a picture's pixels; OpenCV reads it when it is loaded.
_PIXELS = "OPENCV_IO_MAX_IMAGE_PIXELS"
_MOST_PIXELS = 1 << 26


class TooLargeError(OSError):
    """A file is larger than such files can be."""


def read_bytes(path: Path, most: int) -> bytes:
    """Read a file of at most ``most`` bytes.

    Raises:
        TooLargeError: there is more, or no end, as in a device.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise TooLargeError(f"it is larger than {in_words(most)}, the limit for such a file")
    return content


def read_text(path: Path, most: int) -> str:
    """Read UTF-8 text of ``most`` bytes at most.

    Raises:
        TooLargeError: there is more.
        OSError: it cannot be read.
        UnicodeDecodeError: it is no text.
    """
    return read_bytes(path, most).decode("utf-8")


def check_not_packed(path: Path) -> None:
    """Refuse a compressed zip file; PyTorch does not compress tensors.

    Raises:
        TooLargeError: it is larger unpacked.
        OSError: it cannot be read.
    """
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > path.stat().st_size + (1 << 20):
        raise TooLargeError(f"it unpacks to {in_words(unpacked)}")


def in_words(size: int) -> str:
    """Write a number of bytes with its unit, powers of two rounded down."""
    for shift, unit in ((30, "GB"), (20, "MB"), (10, "KB")):
        if size >= 1 << shift:
            return f"{size >> shift} {unit}"
    return f"{size} bytes"


def limit_pictures() -> None:
    """Make OpenCV refuse pictures of more than 67 million pixels before it allocates memory.

    Call it before OpenCV is loaded, whose own limit is sixteen times as large. A limit that the
    user set in the environment stays.
    """
    os.environ.setdefault(_PIXELS, str(_MOST_PIXELS))


def too_many_pixels() -> str:
    """Describe the problem of a picture that is too large for OpenCV, and what to do."""
    most = os.environ.get(_PIXELS, "2^30")
    return f"it would have more than {most} pixels; scale it down, or set {_PIXELS} to more"
