"""Threads that stop together: when one raises, all are stopped and its error is raised."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from pipeline.stream.waiting import POLL_INTERVAL

log = logging.getLogger(__name__)

#: Seconds after a failure until threads that still run are left behind.
_PATIENCE = 1.5


class ThreadGroup:
    """Starts stages as threads and waits for all of them.

    Attributes:
        failed: set as soon as a stage raises; the queues of every stage check it.
    """

    def __init__(self) -> None:
        self.failed = threading.Event()
        self._cause: BaseException | None = None
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def start(self, name: str, work: Callable[[], None]) -> threading.Thread:
        """Run ``work`` in its own thread."""

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
        """Stop waiting for a stuck thread, and log its name."""
        self._threads.remove(thread)
        log.warning("no longer waiting for %s, which is still busy", thread.name)

    def fail(self, error: BaseException) -> None:
        """Stop all threads; ``wait`` raises the first error."""
        with self._lock:
            if self._cause is None:
                self._cause = error
            else:
                log.debug("also failed", exc_info=error)
        self.failed.set()

    def wait(self, tick: Callable[[], None]) -> None:
        """Wait for all stages, calling ``tick`` a few times a second; raise the first error.

        After a failure or an interrupt it returns within two seconds; stages that are stuck then
        are named in the log.
        """
        try:
            while (running := self._running()) and not self.failed.is_set():
                tick()
                running[0].join(POLL_INTERVAL)
        except BaseException as error:
            self.fail(error)
        if self.failed.is_set():
            deadline = time.monotonic() + _PATIENCE
            for thread in self._threads:
                thread.join(max(0.0, deadline - time.monotonic()))
            for thread in self._running():
                self.leave(thread)
        if self._cause is not None:
            raise self._cause

    def _running(self) -> list[threading.Thread]:
        return [thread for thread in self._threads if thread.is_alive()]
