"""The stored values of a PNG, without the conversion to colours.

OpenCV looks up a palette, scales 1, 2 and 4 bits to 0..255 and adds an alpha channel, as is right
for a picture. In a label these values are class indices, so the file's header is rewritten before
decoding: a palette becomes grey, and chunks about transparency are removed.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_GREY, _COLOUR, _PALETTE, _GREY_ALPHA, _COLOUR_ALPHA = 0, 2, 3, 4, 6
#: Chunks without which the pixels are read as they are (PNG specification, section 11.3).
_MEANINGS = frozenset({b"PLTE", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"bKGD"})


def stored_values(content: bytes) -> NDArray[np.generic] | None:
    """Decode a PNG to its stored values.

    Args:
        content: of the file.

    Returns:
        (H, W) indices or grey levels, or (H, W, 3) RGB; uint8, or uint16 for a 16-bit file; without
        alpha. None if the file is damaged or not a PNG.
    """
    if not content.startswith(SIGNATURE):
        return None
    try:
        chunks = list(_chunks(content))
        heading = next(data for kind, data in chunks if kind == b"IHDR")
        width, height, depth, colour = struct.unpack(">IIBB", heading[:10])
    except (StopIteration, struct.error):
        return None
    kind = _GREY if colour == _PALETTE else colour
    plain = struct.pack(">IIBB", width, height, depth, kind) + heading[10:]
    kept = [(b"IHDR", plain), *(c for c in chunks if c[0] not in {*_MEANINGS, b"IHDR"})]
    raw = np.frombuffer(SIGNATURE + b"".join(_chunk(*one) for one in kept), np.uint8)
    try:
        found = cv2.imdecode(raw, cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    if found is None:
        return None
    if kind in {_GREY, _GREY_ALPHA}:
        values = found if found.ndim == 2 else found[..., 0]
        return values // (255 // (2**depth - 1)) if depth < 8 else values
    return found[..., 2::-1]


def with_comment(content: bytes, text: str) -> bytes:
    """Return a PNG with ``text`` as its comment (PNG specification, 11.3.3), before its end."""
    return content[:-12] + _chunk(b"tEXt", b"Comment\0" + text.encode()) + content[-12:]


def palette_of(content: bytes) -> NDArray[np.uint8] | None:
    """Return the palette of a PNG, (colours, 3) uint8 RGB, or None where it has none."""
    found = next((data for kind, data in _chunks(content) if kind == b"PLTE"), None)
    return None if found is None else np.frombuffer(found, np.uint8).reshape(-1, 3)


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = len(SIGNATURE)
    while place + 12 <= len(content):
        length = int.from_bytes(content[place : place + 4], "big")
        data = content[place + 8 : place + 8 + length]
        crc = content[place + 8 + length : place + 12 + length]
        kind = content[place + 4 : place + 8]
        if zlib.crc32(kind + data) != int.from_bytes(crc, "big"):
            return  # the rest is damaged; decoding reports it
        yield kind, data
        place += 12 + length


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
