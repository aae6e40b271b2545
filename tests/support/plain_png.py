"""PNGs of every kind, written by hand: stored values are known, independently of any decoder."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _rows(values: NDArray[Any], depth: int) -> bytes:
    rows = []
    for row in values.reshape(len(values), -1):
        if depth == 16:
            packed = row.astype(">u2").tobytes()
        else:
            bits = np.unpackbits(row.astype(np.uint8)[:, None], axis=1)[:, 8 - depth :]
            packed = np.packbits(bits.ravel()).tobytes()
        rows.append(b"\0" + packed)
    return b"".join(rows)


def png(
    values: NDArray[Any], depth: int, colour: int, interlaced: bool = False, alpha: int = 77
) -> bytes:
    """Write (H, W) values.

    Args:
        values: below 2 ** depth.
        depth: bits per value.
        colour: type in the specification: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA.
        interlaced: in Adam7 order.
        alpha: of all pixels in types with alpha; also of the first colours of a palette.
    """
    height, width = values.shape
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    pixels = np.repeat(values[..., None], channels, axis=2).astype(np.uint16)
    if colour in {4, 6}:
        pixels[..., -1] = alpha
    raw = b""
    passes = [(0, 0, 1, 1)]
    if interlaced:
        passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4)]
        passes += [(2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    for top, left, down, right in passes:
        part = pixels[top::down, left::right]
        raw += _rows(part, depth) if part.size else b""
    extra = b""
    if colour == 3:
        palette = np.random.default_rng(0).integers(0, 256, (2**depth, 3), np.uint8)
        extra = _chunk(b"PLTE", palette.tobytes()) + _chunk(b"tRNS", bytes([alpha, 0]))
    elif colour == 0:
        extra = _chunk(b"tRNS", b"\0\1") + _chunk(b"gAMA", struct.pack(">I", 45455))
    heading = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced))
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", heading)
        + extra
        + _chunk(b"IDAT", zlib.compress(raw))
        + _chunk(b"IEND", b"")
    )
