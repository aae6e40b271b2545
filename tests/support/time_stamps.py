"""The time of a picture, drawn into it: shows how old a frame is after any network and codec.

``time.monotonic()`` is one clock for all processes of a machine. Its milliseconds appear as 32
black or white squares in the top row, which survive compression. Only reading needs NumPy.
"""

from __future__ import annotations

import time

_BITS = 32
_SQUARE = 8

#: Smallest width of a picture that has room for them.
WIDTH = _BITS * _SQUARE


def stamp(pixels: bytearray, row_bytes: int, channels: int) -> None:
    """Draw the current time into packed pixels of a uint8 picture."""
    now = int(time.monotonic() * 1e3)
    row = bytearray()
    for bit in range(_BITS):
        row += bytes([255 if now >> bit & 1 else 0]) * (_SQUARE * channels)
    for line in range(_SQUARE):
        pixels[line * row_bytes : line * row_bytes + len(row)] = row


def stamp_of(image) -> float:  # type: ignore[no-untyped-def]
    """Return the ``time.monotonic()`` seconds drawn into a picture (H, W, 3)."""
    middle = image[_SQUARE // 2, _SQUARE // 2 : WIDTH : _SQUARE].mean(axis=1)
    return sum(int(value > 127) << bit for bit, value in enumerate(middle)) / 1e3
