"""Files that are read whole, up to a size that they cannot honestly have."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

#: OpenCV's own limit of a picture's pixels, as users may set it; it reads this when it is loaded.
_PIXELS = "OPENCV_IO_MAX_IMAGE_PIXELS"
_MOST_PIXELS = 1 << 26


class TooLargeError(OSError):
    """A file holds more than it can honestly hold; nothing of it was kept."""


def read_bytes(path: Path, most: int) -> bytes:
    """Read a file of ``most`` bytes at most; one without an end, such as a device, is too large.

    Raises:
        TooLargeError: there is more.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise TooLargeError(f"it holds more than the {in_words(most)} that are read of such a file")
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
    """Refuse a zip file that is larger unpacked; PyTorch stores its tensors as they are.

    Raises:
        TooLargeError: it would take more memory than it has bytes.
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
    """Let OpenCV refuse pictures of more than 67 million pixels before it takes memory for them.

    It must be called before OpenCV is loaded, whose own limit is sixteen times as much. What the
    user set in the environment stays.
    """
    os.environ.setdefault(_PIXELS, str(_MOST_PIXELS))


def too_many_pixels() -> str:
    """Say what is wrong with a picture that OpenCV refused for its size, and what to do."""
    most = os.environ.get(_PIXELS, "2^30")
    return f"it would have more than {most} pixels; scale it down, or set {_PIXELS} to more"
