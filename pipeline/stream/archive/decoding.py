"""The frames of one segment, with the pixels, numbers and times that ``run`` gives them."""

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
from pipeline.frame import Frame, Image

_TURNS = {
    90: cv2.ROTATE_90_COUNTERCLOCKWISE,
    180: cv2.ROTATE_180,
    270: cv2.ROTATE_90_CLOCKWISE,
}


class SeamError(Exception):
    """A segment does not give what the packets promise; the video is to be read as a whole."""


@dataclass(frozen=True)
class Segment:
    """A part of a video; times in the units of its stream.

    Attributes:
        first: number of its first frame in the video.
        count: frames; None for a video that is not cut, whose end nobody knows.
        pts: when its first frame is shown.
        seek: what to ask the container for to come to its key frame; None for the file's beginning.
        end: when the first frame of the next segment is shown; None for the last one.
        zero: when the first frame of the video is shown.
    """

    first: int
    count: int | None
    pts: int = 0
    seek: int | None = None
    end: int | None = None
    zero: int = 0


@dataclass
class Seams:
    """What was seen at the ends of a segment.

    Attributes:
        entry, exit: digests of its first picture and of the one behind its last, which is the first
            of the next segment; None at the ends of a video.
        problems: of a video that is not cut, one line each.
    """

    entry: int | None = None
    exit: int | None = None
    problems: tuple[str, ...] = ()


@dataclass
class SegmentFrames:
    """Iterate for the frames of a segment; ``seams`` is whole at the end.

    Args:
        file: path or opened file.
        segment: a part of it.
        every: one frame of so many of the video.

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
            stream.codec_context.thread_count = 1  # of a worker's one core
            clock = _Clock(stream, segment.zero)
            for decoded in _decoded(container, stream, segment):
                if decoded.pts is None or decoded.pts < segment.pts:
                    continue  # shown before the key frame: the segment before has it
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


def decode(file: str | IO[bytes], segment: Segment) -> SegmentFrames:
    """Return every frame of a segment."""
    return SegmentFrames(file, segment)


class _Clock:
    """Seconds since the first frame, by the same operations on floats as OpenCV's and ours."""

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
    """Decode from the key frame on, in the order of showing."""
    if segment.seek is not None:
        container.seek(segment.seek, stream=stream, backward=True)
    began = segment.seek is None
    for packet in container.demux(stream):
        if not began:
            # A seek may end early, and in some containers late.
            began = packet.pts == segment.pts
            if not began:
                if packet.pts is None or (packet.is_keyframe and packet.pts > segment.pts):
                    raise SeamError(f"the key frame {segment.first} is not found by seeking")
                continue
        yield from packet.decode()


def _image(decoded: Any) -> Image:
    """Convert as OpenCV does, bit for bit: bicubic, and turned as the container says."""
    image = decoded.to_ndarray(format="bgr24", interpolation="BICUBIC")
    turn = _TURNS.get(decoded.rotation % 360)
    return np.ascontiguousarray(image if turn is None else cv2.rotate(image, turn))


def _digest(decoded: Any) -> int:
    return zlib.crc32(_image(decoded).data)  # planes have bytes beside the picture, of anything
