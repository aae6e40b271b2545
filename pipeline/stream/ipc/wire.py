"""The binary format in which results are sent to other processes on the same machine.

Numbers are little-endian. Every message begins with four letters and its total length in bytes
(uint32). The first message is the greeting, ``RSGR``: after these eight bytes comes JSON in UTF-8,
``{"source": NAME, "classes": [{"name": NAME, "colour": [red, green, blue]}, ...]}``. Then comes one
message per frame:

====== ======= =====================================================================
offset type    what
====== ======= =====================================================================
0      4 bytes ``RSFR``
4      uint32  length of the message: 48 + width * height
8      uint64  index of the frame; frames that were dropped leave gaps
16     float64 capture, in seconds of CLOCK_MONOTONIC
24     float64 class map ready, likewise
32     uint32  width of the frame in pixels
36     uint32  height of the frame
40     uint32  width of the class map
44     uint32  height of the class map
48     bytes   class indices, row by row from the top left; names and colours: the greeting
====== ======= =====================================================================
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from models.classes import ClassSet
from pipeline.errors import SourceError
from pipeline.stream.frame import ClassMap, Result

GREETING, FRAME = b"RSGR", b"RSFR"
_HEAD = struct.Struct("<4sI")
_FRAME = struct.Struct("<4sIQddIIII")
#: Longest message in bytes; a longer one is not from roadseg.
_LONGEST = 1 << 28


@dataclass(frozen=True)
class Greeting:
    """The first message: the source, names of the classes and their (red, green, blue) colours."""

    source: str
    names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Segmented:
    """A received class map.

    Attributes:
        index: of the frame; dropped ones leave gaps.
        captured, finished: seconds of ``time.monotonic()``, the same for all processes on Linux.
        frame_size: (width, height) of the camera's picture, in pixels.
        classes: (h, w) uint8 class indices.
    """

    index: int
    captured: float
    finished: float
    frame_size: tuple[int, int]
    classes: ClassMap


def pack_greeting(source: str, classes: ClassSet) -> bytes:
    """Return the first message of a connection."""
    described = [
        {"name": name, "colour": list(colour)}
        for name, colour in zip(classes.names, classes.palette, strict=True)
    ]
    body = json.dumps({"source": source, "classes": described}).encode()
    return _HEAD.pack(GREETING, _HEAD.size + len(body)) + body


def pack_frame(result: Result) -> bytes:
    """Return the message of one frame."""
    frame_height, frame_width = result.frame.image.shape[:2]
    height, width = result.classes.shape
    head = _FRAME.pack(
        FRAME,
        _FRAME.size + width * height,
        result.frame.index,
        result.frame.captured,
        result.finished,
        frame_width,
        frame_height,
        width,
        height,
    )
    return head + result.classes.tobytes()


def read_message(read: Callable[[int], bytes]) -> Greeting | Segmented | None:
    """Read one message.

    Args:
        read: returns as many bytes as asked for, or fewer at the end.

    Returns:
        None at the end of the stream, even within a message.

    Raises:
        SourceError: the bytes are not of this format.
    """
    head = read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    kind, length = _HEAD.unpack(head)
    if kind not in {GREETING, FRAME} or not _HEAD.size <= length <= _LONGEST:
        raise SourceError(
            f"the other side sends {head[:4]!r} where {GREETING!r} or {FRAME!r} belongs; "
            "connect to a socket of roadseg"
        )
    body = read(length - _HEAD.size)
    if len(body) < length - _HEAD.size:
        return None
    return _greeting(body) if kind == GREETING else _frame(head + body)


def _greeting(body: bytes) -> Greeting:
    try:
        document = json.loads(body)
        classes = document["classes"]
        names = tuple(str(one["name"]) for one in classes)
        palette = tuple((int(r), int(g), int(b)) for r, g, b in (one["colour"] for one in classes))
        return Greeting(str(document["source"]), names, palette)
    except (ValueError, TypeError, KeyError) as error:
        raise SourceError(f"the greeting {body[:40]!r} is not roadseg's; reconnect") from error


def _frame(message: bytes) -> Segmented:
    if len(message) < _FRAME.size:
        raise SourceError(f"a frame of {len(message)} bytes is shorter than its header; reconnect")
    _, length, index, captured, finished, *sizes = _FRAME.unpack_from(message)
    frame_width, frame_height, width, height = sizes
    if length != _FRAME.size + width * height:
        raise SourceError(
            f"a class map of {width}x{height} came with {length - _FRAME.size} bytes; reconnect"
        )
    classes = np.frombuffer(message, np.uint8, offset=_FRAME.size).reshape(height, width)
    return Segmented(index, captured, finished, (frame_width, frame_height), classes)
