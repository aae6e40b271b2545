"""Raw frames from standard input, written by another program such as FFmpeg."""

from __future__ import annotations

import os
import re
import select
import sys
import threading
import time

import numpy as np

from pipeline.errors import SourceError
from pipeline.stream.frame import Frame
from pipeline.stream.sources.base import Source, SourceOptions
from pipeline.stream.waiting import POLL_INTERVAL

_FORM = re.compile(r"stdin:(\d{1,6})x(\d{1,6})(?:@(\d{1,6}(?:\.\d{1,9})?))?", re.ASCII)
_LARGEST = 16384


def matches(text: str) -> bool:
    """``stdin:`` with size and rate; also ``-`` and ``stdin``, for which the error says more."""
    return text in ("-", "stdin") or text.startswith("stdin:")


def open_stdin(text: str, options: SourceOptions) -> Source:
    """Read frames from standard input.

    Raises:
        SourceError: the size is missing or impossible, or standard input is a terminal.
    """
    found = _FORM.fullmatch(text)
    if found is None or not all(0 < int(side) <= _LARGEST for side in found.groups()[:2]):
        raise SourceError(
            f"source {text} does not say what standard input holds; give stdin:WIDTHxHEIGHT or "
            "stdin:WIDTHxHEIGHT@FPS, such as stdin:1280x720@25, for raw BGR frames of 8 bits "
            "(ffmpeg ... -f rawvideo -pix_fmt bgr24 -)"
        )
    if sys.stdin is None or sys.stdin.isatty():
        raise SourceError(f"source {text} reads standard input, which is a terminal; pipe into it")
    fps = float(found[3] or 0) or None
    # Without a rate, the pace of the writing program counts as real time.
    live = options.realtime and fps is None
    return RawSource(sys.stdin.fileno(), (int(found[1]), int(found[2])), fps, live)


class RawSource(Source):
    """Frames of packed BGR bytes, row by row, from a file descriptor.

    Args:
        descriptor: read, and left open.
        size: width and height.
        fps: as given by the user; None if it was not.
        live: only the newest frame counts.
    """

    def __init__(
        self, descriptor: int, size: tuple[int, int], fps: float | None, live: bool
    ) -> None:
        super().__init__("stdin")
        self.fps = fps
        self.live = live
        self._descriptor = descriptor
        self._shape = (size[1], size[0], 3)
        self._index = 0
        self._closing = threading.Event()

    def _read(self) -> Frame | None:
        image = np.empty(self._shape, np.uint8)
        # The capture time is that of the first bytes: before, the writer may wait for its camera.
        self._wait()
        captured = time.monotonic()
        filled = self._fill(image.data.cast("B"))
        if filled < image.nbytes:
            self._ended(filled, image.nbytes)
            return None
        index = self._index
        self._index += 1
        return Frame(image, index, captured, f"{index:06d}")

    def _wait(self) -> bool:
        """Wait for bytes or their end; False if the source is being closed."""
        while not self._closing.is_set():
            if select.select([self._descriptor], [], [], POLL_INTERVAL)[0]:
                return True
        return False

    def _fill(self, view: memoryview) -> int:
        """Read until the view is full or the input ends; return how many bytes were read."""
        filled = 0
        while filled < len(view) and self._wait():
            count = os.readv(self._descriptor, [view[filled:]])
            if count == 0:
                break
            filled += count
        return filled

    def _ended(self, filled: int, expected: int) -> None:
        if self._closing.is_set():
            return
        height, width, _ = self._shape
        if self._index == 0:
            raise SourceError(
                f"standard input ended after {filled} bytes, before the first frame of {width}x"
                f"{height} with {expected} bytes; check the size and the program that writes"
            )
        if filled:
            self.problems.append(
                f"standard input ended within frame {self._index}, after {filled} of its "
                f"{expected} bytes; check that frames have {width}x{height} pixels of 3 bytes, and "
                "the program that writes"
            )

    def _interrupt(self) -> None:
        self._closing.set()
