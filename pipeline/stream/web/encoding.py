"""Results as bytes: picture and class map for a browser to combine, or one drawn picture."""

from __future__ import annotations

import json
import struct
import zlib

import cv2
import numpy as np

from pipeline.errors import SinkError
from pipeline.stream.frame import Image, Result

#: Higher values give much larger files and hardly better pictures; lower ones show ringing.
_QUALITY = 80
#: The fastest level; on a class map the best one would save only a third of ten kilobytes.
_DEFLATE = 1


def parts_of(result: Result, width: int, age: float) -> bytes:
    """Return camera picture and class map as one message.

    Layout: header length as 4 bytes, big-endian; header, JSON; JPEG of the camera's picture; class
    map, one byte per pixel, row by row, in zlib's format. Header: ``index`` of the frame,
    ``age_ms`` from capture to now, ``width`` and ``height`` of the class map, ``jpeg`` in bytes,
    ``shares`` per class, 0..1; ``marks``, zones as ``[polygon, text, alert]``, corners 0..1.

    Args:
        result: with shares.
        width: largest width of the picture in pixels.
        age: seconds from capture to now.
    """
    jpeg = jpeg_of(fitted(result.frame.image, width))
    rows, columns = result.classes.shape
    shares = [] if result.shares is None else result.shares.tolist()
    header = json.dumps(
        {
            "index": result.frame.index,
            "age_ms": round(age * 1e3, 1),
            "width": columns,
            "height": rows,
            "jpeg": len(jpeg),
            "shares": [round(share, 4) for share in shares],
            "marks": [[mark.polygon, mark.text, mark.alert] for mark in result.marks],
        },
        separators=(",", ":"),
    ).encode()
    classes = zlib.compress(np.ascontiguousarray(result.classes).data, _DEFLATE)
    return b"".join((struct.pack(">I", len(header)), header, jpeg, classes))


def jpeg_of(image: Image) -> bytes:
    """Encode (H, W, 3) uint8 BGR as a JPEG file.

    Raises:
        SinkError: the picture is too large for JPEG.
    """
    try:
        done, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    except cv2.error as error:
        raise SinkError(
            f"a frame of {image.shape[1]}x{image.shape[0]} cannot be shown on the page "
            f"({error.err}); JPEG holds sides of 1 to 65500 pixels"
        ) from error
    if not done:
        raise SinkError(
            f"a frame of {image.shape[1]}x{image.shape[0]} cannot be shown on the page; "
            "JPEG holds sides of 1 to 65500 pixels"
        )
    return encoded.tobytes()


def fitted(image: Image, width: int) -> Image:
    """Shrink a picture to ``width`` if it is wider; the aspect ratio stays."""
    rows, columns = image.shape[:2]
    if columns <= width:
        return image
    size = (width, max(1, round(rows * width / columns)))
    # INTER_AREA is correct, but fast for whole factors only; above half the size it looks the same.
    how = cv2.INTER_LINEAR if columns < 2 * width else cv2.INTER_AREA
    return np.asarray(cv2.resize(image, size, interpolation=how), dtype=np.uint8)
