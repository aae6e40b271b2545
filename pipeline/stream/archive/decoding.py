"""Decodes the frames of one segment, with the same pixels, numbers and times as ``run``."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any

import av
import cv2
import numpy as np

from calibration.scenes.containers import file_options
from pipeline.stream.frame import Frame, Image

_TURNS = {
    90: cv2.ROTATE_90_COUNTERCLOCKWISE,
    180: cv2.ROTATE_180,
    270: cv2.ROTATE_90_CLOCKWISE,
}


class SeamError(Exception):
    """A segment does not decode to the frames of its packets; the video must be read as a whole."""


@dataclass(frozen=True)
class Segment:
    """A part of a video; times in the units of its stream.

    Attributes:
        first: number of its first frame in the video.
        count: number of frames; None for a video that is not cut, where it is not known.
        pts: time of its first frame.
        seek: time to seek to for its key frame; None for the beginning of the file.
        end: time of the first frame of the next segment; None for the last one.
        zero: time of the first frame of the video.
    """

    first: int
    count: int | None
    pts: int = 0
    seek: int | None = None
    end: int | None = None
    zero: int = 0


@dataclass
class Seams:
    """Digests for checking that neighbouring segments fit together.

    Attributes:
        entry, exit: digest of its first picture, and of the picture after its last, which is the
            first of the next segment; None at the ends of a video.
        problems: of a video that is not cut, one line each.
    """

    entry: int | None = None
    exit: int | None = None
    problems: tuple[str, ...] = ()


@dataclass
class SegmentFrames:
    """Iterate over the frames of a segment; ``seams`` is complete at the end.

    Args:
        file: path or opened file.
        segment: the part to decode.
        every: yield every N-th frame of the video.

    Raises:
        SeamError: frames are missing, damaged or at other times.
        av.FFmpegError: a packet cannot be decoded.
    """

    file: str | IO[bytes]
    segment: Segment
    every: int = 1
    seams: Seams = field(default_factory=Seams)

    def __iter__(self) -> Iterator[Frame]:
        segment, number = self.segment, self.segment.first
        with av.open(self.file, options=file_options()) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1  # a worker has one core
            clock = _Clock(stream, segment.zero)
            for decoded in _decoded(container, stream, segment):
                if decoded.pts is None or decoded.pts < segment.pts:
                    continue  # shown before the key frame, so it belongs to the segment before
                if segment.end is not None and decoded.pts >= segment.end:
                    self.seams.exit = _digest(decoded)
                    break
                if decoded.is_corrupt:
                    raise SeamError(f"frame {number} is damaged")
                if number == segment.first:
                    self.seams.entry = _digest(decoded)
                if number % self.every == 0:
                    yield Frame(
                        _image(decoded),
                        number,
                        time.monotonic(),
                        f"{number:06d}",
                        seconds=clock.seconds(decoded.pts),
                    )
                number += 1
        if number - segment.first != segment.count:
            raise SeamError(
                f"{number - segment.first} frames came of the {segment.count} "
                f"from {segment.first} on"
            )


class _Clock:
    """Seconds since the first frame, with the same rounding as in ``run``."""

    def __init__(self, stream: Any, zero: int) -> None:
        base = stream.time_base
        self._start = stream.start_time or 0
        self._tick = base.numerator / base.denominator
        self._first = self._ms(zero)

    def _ms(self, pts: int) -> float:
        return float((pts - self._start) * self._tick * 1000)

    def seconds(self, pts: int) -> float:
        return max(0.0, (self._ms(pts) - self._first) / 1e3)


def _decoded(container: Any, stream: Any, segment: Segment) -> Iterator[Any]:
    """Decode from the key frame on, in display order."""
    if segment.seek is not None:
        container.seek(segment.seek, stream=stream, backward=True)
    began = segment.seek is None
    for packet in container.demux(stream):
        if not began:
            # A seek may end too early, and in some containers too late.
            began = packet.pts == segment.pts
            if not began:
                if packet.pts is None or (packet.is_keyframe and packet.pts > segment.pts):
                    raise SeamError(f"seeking did not find the key frame {segment.first}")
                continue
        yield from packet.decode()


def _image(decoded: Any) -> Image:
    """Convert exactly as OpenCV does: bicubic, and rotated as the container says."""
    image = decoded.to_ndarray(format="bgr24", interpolation="BICUBIC")
    turn = _TURNS.get(decoded.rotation % 360)
    return np.ascontiguousarray(image if turn is None else cv2.rotate(image, turn))


def _digest(decoded: Any) -> int:
    return zlib.crc32(_image(decoded).data)  # not of the planes, whose padding is undefined
