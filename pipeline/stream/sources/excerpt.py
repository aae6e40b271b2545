"""Part of a file: from a time on, every N-th frame, or in a loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from pipeline.errors import SourceError
from pipeline.stream.frame import Frame
from pipeline.stream.sources.base import Source

#: Tolerance for times, which containers round to their own clock.
_MILLISECOND = 1e-3


class Excerpt(Source):
    """Delivers part of another source; the first frame of that part has index 0.

    A frame keeps its name and its time relative to the first one, so that every second frame of a
    video plays as fast as all of them. Indices and times go on in later rounds of a loop.

    Args:
        reopen: opens the source; called for each round.
        start: seconds to skip, in the source's own time.
        every: deliver every N-th frame.
        loop: start again at the end, without limit.

    Raises:
        SourceError: the source is live, has no rate to count ``start`` by, or ends before it.
    """

    def __init__(
        self, reopen: Callable[[], Source], start: float = 0.0, every: int = 1, loop: bool = False
    ) -> None:
        self._reopen = reopen
        self._inner = reopen()
        super().__init__(self._inner.name)
        self.fps = self._inner.fps
        self.files, self.pictures = self._inner.files, self._inner.pictures
        self._every = every
        self._loop = loop
        self._start = start
        if self._inner.live or (start and self.fps is None):
            self._inner.close()
            wrong = "is live" if self._inner.live else "has no frame rate to count seconds by"
            raise SourceError(
                f"source {self.name} {wrong}; --start, --every and --loop are for files: drop them"
            )
        self._skipped = round(start * (self.fps or 0.0))
        self._base = 0
        self._round = 0
        self._last = -1
        self._zero: float | None = None
        self._shift = self._latest = 0.0
        self.endless = loop or self._inner.endless
        self._next: Frame | None = self._first()
        self.promised = self._expected()

    def _expected(self) -> int | None:
        if self.endless or self._inner.promised is None:
            return None
        return max(0, -(-(self._inner.promised - self._skipped) // self._every))

    def _first(self) -> Frame:
        """Return the first frame from ``start`` on."""
        frame = self._inner.read()
        while frame is not None and self._precedes(frame):
            frame = self._inner.read()
        if frame is None:
            self._inner.close()
            raise SourceError(
                f"source {self.name} has no frame at {self._start:g} s; give an earlier --start"
            )
        self._skipped = frame.index
        return frame

    def _precedes(self, frame: Frame) -> bool:
        """Whether a frame comes before ``start``, by its own time if it has one."""
        if frame.seconds is None:
            return frame.index < self._skipped
        return frame.seconds < self._start - _MILLISECOND

    def _read(self) -> Frame | None:
        frame = self._pending()
        if frame is None:
            return None
        index = self._base + frame.index - self._skipped
        self._last = index
        name = frame.name if not self._round else f"{frame.name}-{self._round + 1}"
        seconds = None
        if frame.seconds is not None:
            if self._zero is None:
                self._zero = frame.seconds
            seconds = self._shift + frame.seconds - self._zero
            self._latest = seconds
        return replace(frame, index=index, name=name, captured=time.monotonic(), seconds=seconds)

    def _pending(self) -> Frame | None:
        frame = self._next
        self._next = None
        if frame is None:
            frame = self._inner.read()
            while frame is not None and (frame.index - self._skipped) % self._every:
                frame = self._inner.read()
        self.skipped = self._inner.skipped
        self.problems[:] = self._inner.problems
        if frame is None and self._loop and not self._closed:
            self._inner.close()
            self._inner = self._reopen()
            self._round += 1
            self._base = self._last + self._every
            self._zero = None
            self._shift = self._latest + (self._every / self.fps if self.fps else 0.0)
            frame = self._first()
        return frame

    def _interrupt(self) -> None:
        self._inner._interrupt()

    def _close(self) -> None:
        self._inner.close()
