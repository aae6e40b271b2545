"""Threads that fail together: the first one that raises stops all, and its error is the cause."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from pipeline.stream.waiting import LOOK_AROUND

log = logging.getLogger(__name__)

#: Seconds that the others get after a failure, before a stuck thread is left behind.
_PATIENCE = 1.5


class ThreadGroup:
    """Start stages as threads and wait for all of them.

    Attributes:
        failed: set as soon as a stage raises; every stage looks at it.
    """

    def __init__(self) -> None:
        self.failed = threading.Event()
        self._cause: BaseException | None = None
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def start(self, name: str, work: Callable[[], None]) -> threading.Thread:
        """Run ``work`` in a thread of its own."""

        def guarded() -> None:
            try:
                work()
            except BaseException as error:
                self.fail(error)

        # Daemons: a driver that never returns from a read must not keep the process alive.
        thread = threading.Thread(target=guarded, name=f"roadseg-{name}", daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def leave(self, thread: threading.Thread) -> None:
        """Wait for a stuck thread no longer; it is named in the log."""
        self._threads.remove(thread)
        log.warning("left behind, still busy: %s", thread.name)

    def fail(self, error: BaseException) -> None:
        """Stop all; ``error`` is the cause unless there was one before."""
        with self._lock:
            if self._cause is None:
                self._cause = error
            else:
                log.debug("also failed", exc_info=error)
        self.failed.set()

    def wait(self, tick: Callable[[], None]) -> None:
        """Wait for all stages, calling ``tick`` a few times a second; raise the first cause.

        After a failure, an interrupt of this thread included, it returns within two seconds, even
        when a stage is stuck; that stage is then named in the log.
        """
        try:
            while (running := self._running()) and not self.failed.is_set():
                tick()
                running[0].join(LOOK_AROUND)
        except BaseException as error:
            self.fail(error)
        if self.failed.is_set():
            self._give_up_after(time.monotonic() + _PATIENCE)
        if self._cause is not None:
            raise self._cause

    def _running(self) -> list[threading.Thread]:
        return [thread for thread in self._threads if thread.is_alive()]

    def _give_up_after(self, deadline: float) -> None:
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if stuck := [thread.name for thread in self._running()]:
            log.warning("left behind, still busy: %s", ", ".join(stuck))
