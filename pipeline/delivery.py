"""What became of every result: shown by a sink, or dropped on the way."""

from __future__ import annotations

import threading
import time

from pipeline.frame import Frame
from pipeline.timing import Rate, RecentRate, Times

_LOOK_AROUND = 0.05


class Delivery:
    """Counts results from inference to the last sink, exactly, from many threads.

    A frame is shown when at least one sink took it, at the moment when the last one did; it is
    missed when none did.

    Args:
        sinks: how many sinks get each result.
        limit: shown frames after which no more are admitted; None for no end.
        failed: set when a stage fails; nothing is admitted after that.

    Attributes:
        shown, missed: frames so far.
        rate, recent_rate: of shown frames.
        frame_age: capture to shown.
    """

    def __init__(self, sinks: int, limit: int | None, failed: threading.Event) -> None:
        self.shown = 0
        self.missed = 0
        self.rate = Rate()
        self.recent_rate = RecentRate()
        self.frame_age = Times()
        self._sinks = sinks
        self._limit = limit
        self._failed = failed
        self._admitted = 0
        #: index -> sinks that still have the frame, and whether one has shown it
        self._under_way: dict[int, tuple[int, bool]] = {}
        self._settled = threading.Condition()

    def admit(self) -> bool:
        """Wait until another frame may be needed to reach the limit; False when it is reached.

        Frames that are dropped behind inference are made up for, so that exactly ``limit`` are
        shown.
        """
        with self._settled:
            while self._limit is not None and self._admitted - self.missed >= self._limit:
                if self.shown >= self._limit or self._failed.is_set():
                    return False
                self._settled.wait(_LOOK_AROUND)
            self._admitted += 1
            return True

    def settle(self, frame: Frame, shown: bool) -> None:
        """Say that one sink has shown the frame, or has dropped it."""
        with self._settled:
            waiting, before = self._under_way.pop(frame.index, (self._sinks, False))
            shown = shown or before
            if waiting > 1:
                self._under_way[frame.index] = (waiting - 1, shown)
                return
            self._count(frame, shown)

    def miss(self, frame: Frame) -> None:
        """Say that a frame was dropped before any sink could get it."""
        with self._settled:
            self._count(frame, shown=False)

    def _count(self, frame: Frame, shown: bool) -> None:
        if shown:
            now = time.monotonic()
            self.shown += 1
            self.rate.add(now)
            self.recent_rate.add(now)
            self.frame_age.add(now - frame.captured)
        else:
            self.missed += 1
        self._settled.notify_all()
