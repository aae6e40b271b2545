"""Pictures of 12 bits stored in 16, which would be nearly black if read as 16 bits."""

from __future__ import annotations

import logging

import cv2
import numpy as np
from numpy.typing import NDArray

log = logging.getLogger(__name__)

#: Values of 12-bit data, which most cameras of more than 8 bits deliver, are below this.
_TWELVE_BITS = 1 << 12
_said = False


def is_deep(content: bytes) -> bool:
    """Whether a picture may have 16 bits: read from a PNG; any TIFF, PGM or JPEG 2000 may."""
    if content.startswith(b"\x89PNG"):
        return len(content) > 24 and content[24] == 16
    return content.startswith((b"II*\0", b"MM\0*", b"P5", b"P6", b"\0\0\0\x0cjP", b"\xff\x4f\xff"))


def decode_deep(content: bytes) -> NDArray[np.uint8] | None:
    """Decode to (H, W, 3) uint8 BGR where the picture holds 12 bits in 16; else None.

    Pictures that use all 16 bits are decoded as usual, to their upper 8 bits.
    """
    global _said
    raw = np.frombuffer(content, np.uint8)
    found = cv2.imdecode(raw, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if found is None or found.dtype != np.uint16 or int(found.max()) >= _TWELVE_BITS:
        return None
    if not int(found.max()) >> 8:
        return None  # 8 bits in 16, or black: cannot be told apart
    if not _said:
        log.warning("pictures of 16 bits hold 12 at most: they are read as 12-bit data")
        _said = True
    return (found.astype(np.uint16) >> 4).astype(np.uint8)
