"""Results as bytes for the network: parts that a browser composes, or one drawn picture."""

from __future__ import annotations

import json
import struct
import zlib

import cv2
import numpy as np

from pipeline.errors import SinkError
from pipeline.frame import Image, Result

#: Above this, files grow much faster than pictures improve; below, class edges begin to ring.
_QUALITY = 80
#: The fastest level; class maps are so plain that the best one saves a third of ten kilobytes.
_DEFLATE = 1


def parts_of(result: Result, width: int, age: float) -> bytes:
    """Camera picture and class map in one message.

    Layout: header length as 4 bytes, big-endian; header, JSON; JPEG of the camera's picture; class
    map, one byte per pixel, row by row, in zlib's format. Header: ``index`` of the frame,
    ``age_ms`` from capture to now, ``width`` and ``height`` of the class map, ``jpeg`` in bytes,
    ``shares`` per class, 0..1; ``marks``, zones as ``[polygon, text, alert]``, corners 0..1.

    Args:
        result: with shares.
        width: of the picture in pixels at most.
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
    """(H, W, 3) uint8 BGR as a JPEG file.

    Raises:
        SinkError: a picture that JPEG cannot hold.
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
    """Make a picture smaller that is wider than ``width``; its shape stays."""
    rows, columns = image.shape[:2]
    if columns <= width:
        return image
    size = (width, max(1, round(rows * width / columns)))
    # By areas is right, and quick for whole factors only; up to a half, nobody sees a difference.
    how = cv2.INTER_LINEAR if columns < 2 * width else cv2.INTER_AREA
    return np.asarray(cv2.resize(image, size, interpolation=how), dtype=np.uint8)
