"""A file that plays at its own rate, as if it were live."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

from pipeline.stream.frame import Frame
from pipeline.stream.sources.base import Source


class PacedSource(Source):
    """Delivers each frame at its own time after the first, or at a fixed rate, and is live.

    Args:
        inner: the file; closed with this source.
        fps: rate if the file has none.
    """

    live = True

    def __init__(self, inner: Source, fps: float) -> None:
        super().__init__(inner.name)
        self._inner = inner
        self.fps = inner.fps or fps
        self.promised = inner.promised
        self.files, self.pictures = inner.files, inner.pictures
        self.problems = inner.problems
        self._interval = 1 / self.fps
        self._started: float | None = None
        self._closing = threading.Event()

    def _read(self) -> Frame | None:
        frame = self._inner.read()
        self.promised = self._inner.promised
        self.skipped = self._inner.skipped
        if frame is None:
            return None
        now = time.monotonic()
        if self._started is None:
            self._started = now
        place = frame.index * self._interval if frame.seconds is None else frame.seconds
        if (early := self._started + place - now) > 0:
            self._closing.wait(early)
            now = time.monotonic()
        return replace(frame, captured=now)

    def _interrupt(self) -> None:
        self._closing.set()
        self._inner._interrupt()

    def _close(self) -> None:
        self._inner.close()
