"""Records when a live source was lost and when it came back."""

from __future__ import annotations

import threading
import time

from pipeline.stream.health import SourceHealth, State


class Gaps:
    """State and losses of a live source; one thread records, any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._state: State = "live"
        self._since = time.monotonic()
        self._reconnects = 0
        self._gaps = 0
        self._lost_seconds = 0.0  # of finished gaps

    def lose(self, since: float) -> None:
        """Record a loss; the last frame came at ``since``, in seconds of ``time.monotonic()``."""
        with self._lock:
            if self._state == "live":
                self._state, self._since = "lost", since
                self._gaps += 1

    def regain(self, at: float) -> float | None:
        """Record a frame at ``at``; return the length of the gap in seconds, None without one."""
        with self._lock:
            if self._state != "lost":
                return None
            seconds = max(0.0, at - self._since)
            self._lost_seconds += seconds
            self._reconnects += 1
            self._state, self._since = "live", at
            return seconds

    def end(self, at: float) -> None:
        """Record that no more frames come."""
        with self._lock:
            if self._state == "lost":
                self._lost_seconds += max(0.0, at - self._since)
            if self._state != "ended":
                self._state, self._since = "ended", at

    def health(self) -> SourceHealth:
        """Return the state and the gaps so far, including the present one."""
        with self._lock:
            lost = self._lost_seconds
            if self._state == "lost":
                lost += max(0.0, time.monotonic() - self._since)
            return SourceHealth(self._state, self._since, self._reconnects, self._gaps, lost)
