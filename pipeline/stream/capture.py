"""The thread that reads a source, and how it ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from pipeline.stream.frame import Frame
from pipeline.stream.queues import FrameQueue
from pipeline.stream.sources.base import Source
from pipeline.stream.thread_group import ThreadGroup
from pipeline.stream.timing import StageTimes, Work

#: When no more frames are wanted: seconds until the source is closed although a read is still
#: running, and further seconds until the thread is left behind.
_GRACE, _LAST_GRACE = 0.3, 1.5


class Capture:
    """Puts frames of a source into a queue until it ends, fails, or no more are wanted.

    Args:
        source: closed at the end, by the thread that read it where that is possible.
        outbox: where frames go; closed at the end.
        stages: timed here as ``capture``.
        limit: frames of a file to read; None for all. It does not hold for a live source, where
            more may be needed because some are dropped.
        stop: no more frames are wanted once it is set.

    Attributes:
        read: frames so far.
        stopped: ended by ``stop``.
    """

    def __init__(
        self,
        source: Source,
        outbox: FrameQueue[Frame],
        stages: StageTimes,
        limit: int | None,
        stop: threading.Event,
    ) -> None:
        self.read = 0
        self.stopped = False
        self._source = source
        self._outbox = outbox
        self._stages = stages
        self._limit = None if source.live else limit
        self._stop = stop
        self._thread: threading.Thread | None = None
        self._unwanted: float | None = None
        self._closing = False

    def start(self, threads: ThreadGroup, name: str, failed: Callable[[Exception], None]) -> None:
        """Start the thread; ``failed`` is called in it with what the source raised."""

        def run() -> None:
            try:
                self._run()
            except Exception as error:  # one failing source must not end the others
                failed(error)
            finally:
                self._outbox.close()

        self._thread = threads.start(name, run)

    def look_after(self, threads: ThreadGroup) -> None:
        """End a read that goes on when no more frames are wanted; call a few times a second."""
        unwanted = self._stop.is_set() or self._outbox.closed
        if not unwanted or self._thread is None or not self._thread.is_alive():
            return
        now = time.monotonic()
        if self._unwanted is None:
            self._unwanted = now
        elif not self._closing and now - self._unwanted > _GRACE:
            self._closing = True
            # In its own thread: a driver may hang while it is released, too.
            threading.Thread(target=self._source.close, daemon=True).start()
        elif now - self._unwanted > _GRACE + _LAST_GRACE:
            self.stopped = self._stop.is_set()
            self._outbox.close()
            threads.leave(self._thread)
            self._thread = None

    def _run(self) -> None:
        with self._source:
            while self._wants_more():
                began = time.monotonic()
                frame = self._source.read()
                if frame is None:
                    # After ``stop`` the source may have been closed by ``look_after``.
                    self.stopped = self._closing and self._stop.is_set()
                    break
                self._stages.add(Work("capture", frame.index, began, time.monotonic()))
                self.read += 1
                if not self._outbox.put(frame):
                    break

    def _wants_more(self) -> bool:
        if self._stop.is_set():
            self.stopped = True
            return False
        return self._limit is None or self.read < self._limit
