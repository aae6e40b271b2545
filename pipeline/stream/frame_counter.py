"""Counts which results were shown by a sink and which were dropped."""

from __future__ import annotations

import threading
import time
from typing import Literal

from pipeline.stream.frame import Frame
from pipeline.stream.timing import Rate, RecentRate, RecentTimes, Times

#: ``open``: another frame is needed. ``later``: only if a frame under way is dropped.
#: ``closed``: no more frames are needed.
Admission = Literal["open", "later", "closed"]


class FrameCounter:
    """Counts every result exactly once, from any thread.

    A frame is shown if at least one sink took it, at the moment when the last of them did. It is
    missed if no sink took it.

    Args:
        sinks: how many sinks get each result.
        limit: shown frames after which no more are admitted; None for no limit.
        wake_up: set whenever a frame was shown or missed.

    Attributes:
        shown, missed: frames so far.
        rate, recent_rate: of shown frames.
        frame_age, recent_frame_age: capture to shown.
    """

    def __init__(self, sinks: int, limit: int | None, wake_up: threading.Event) -> None:
        self.shown = 0
        self.missed = 0
        self.rate = Rate()
        self.recent_rate = RecentRate()
        self.frame_age = Times()
        self.recent_frame_age = RecentTimes()
        self._sinks = sinks
        self._limit = limit
        self._wake_up = wake_up
        self._admitted = 0
        #: index -> number of sinks that still have the frame, and when it was last shown
        self._under_way: dict[int, tuple[int, float | None]] = {}
        self._lock = threading.Lock()

    @property
    def admission(self) -> Admission:
        """Whether another frame is needed to reach the limit.

        A frame dropped after inference is replaced by another, so that exactly ``limit`` are shown.
        """
        with self._lock:
            if self._limit is None or self._admitted - self.missed < self._limit:
                return "open"
            return "closed" if self.shown >= self._limit else "later"

    def admit(self) -> None:
        """Count a frame that goes into inference."""
        with self._lock:
            self._admitted += 1

    def sink_done(self, frame: Frame, shown: bool) -> None:
        """Say that one sink has shown the frame, or has dropped it."""
        with self._lock:
            waiting, moment = self._under_way.pop(frame.index, (self._sinks, None))
            moment = time.monotonic() if shown else moment
            if waiting > 1:
                self._under_way[frame.index] = (waiting - 1, moment)
                return
            self._count(frame, moment)

    def miss(self, frame: Frame) -> None:
        """Say that a frame was dropped before any sink could get it."""
        with self._lock:
            self._count(frame, None)

    def _count(self, frame: Frame, moment: float | None) -> None:
        if moment is None:
            self.missed += 1
        else:
            self.shown += 1
            # Not ``moment``: frames may finish in another order, and a rate needs rising moments.
            now = time.monotonic()
            self.rate.add(now)
            self.recent_rate.add(now)
            self.frame_age.add(moment - frame.captured)
            self.recent_frame_age.add(moment - frame.captured)
        self._wake_up.set()
