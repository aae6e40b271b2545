"""A live source that reconnects when its camera is lost."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable

from pipeline.errors import SourceError
from pipeline.stream.frame import Frame
from pipeline.stream.health import SourceHealth
from pipeline.stream.sources.base import Source
from pipeline.stream.sources.connection import Capture, Connection, Grabbed
from pipeline.stream.sources.gaps import Gaps
from pipeline.stream.waiting import CLOSE_TIMEOUT, POLL_INTERVAL

log = logging.getLogger(__name__)

#: Seconds without a usable frame after which a connection is given up; if a camera states a rate,
#: the time of three frames, if that is longer.
_SILENCE = 1.0
_FRAMES_OF_SILENCE = 3

#: Seconds for opening and the first frame; a driver that needs longer counts as hanging.
_OPENING = 3.0

#: Seconds between attempts. A server that is back must be reached within two: this pause, a
#: second for an attempt that began too early, and half a second for RTSP to start.
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 0.5
_JITTER = 0.25

#: Connections that hang in a driver; with more, no new one is tried.
_MOST_STUCK = 3


def pause(attempt: int) -> float:
    """Return the seconds between two attempts: 0.1, doubled each time, 0.5 at most.

    Up to a quarter is random, so that cameras lost together do not reconnect together.
    """
    longest = _LONGEST_PAUSE / (1 + _JITTER)
    # In a long gap the power must not overflow.
    steady = min(longest, _SHORTEST_PAUSE * 2.0 ** min(attempt, 10))
    return steady * random.uniform(1, 1 + _JITTER)


class LiveSource(Source):
    """Delivers the newest frame of a camera, and connects again when it is lost.

    Frame indices go on after a gap. A frame is delivered once, with the time when it was grabbed. A
    connection ends when its capture ends, or after a second without a usable frame. Then new ones
    are tried, with pauses that grow from 0.1 to 0.5 s.

    Args:
        name: of the source, without passwords.
        open_capture: opens a new capture; raises ``SourceError`` if it cannot.
        remedy: what to do when the camera stays lost, for the error line.
        retries: attempts after a loss; None for no limit.
        opening: seconds until the first frame after which a driver counts as hanging.

    Raises:
        SourceError: the first connection failed, and ``retries`` is None or 0. With retries the
            source starts as lost.
    """

    live = True

    def __init__(
        self,
        name: str,
        open_capture: Callable[[], Capture],
        remedy: str,
        retries: int | None = None,
        opening: float = _OPENING,
    ) -> None:
        super().__init__(name)
        self._open_capture = open_capture
        self._remedy = remedy
        self._retries = retries
        self._opening = opening
        self._gaps = Gaps()
        self._closing = threading.Event()
        self._dropped: Connection | None = None
        self._stuck: list[Connection] = []
        self._attempts = 0  # that failed since the last frame
        self._delivered = 0
        self._size: tuple[int, int] | None = None
        self._skipped_before = 0  # the present connection
        self._expected = 0  # number of the next frame of the present connection
        self._connection: Connection | None = Connection(name, open_capture, remedy)
        self._next_attempt = 0.0
        self._await_first(self._connection)

    def health(self) -> SourceHealth:
        """Return whether frames come, and what the gaps so far were."""
        return self._gaps.health()

    def _await_first(self, connection: Connection) -> None:
        try:
            while not connection.frames.wait(POLL_INTERVAL) and not self._is_quiet(connection):
                pass
        except BaseException:  # an interrupt
            connection.drop()
            raise
        self.fps = connection.fps
        if connection.newest is not None:
            return
        failure = self._reason(connection)
        if not self._retries:
            connection.drop()
            connection.join(CLOSE_TIMEOUT)
            raise failure
        self._lose(connection, failure)

    def _read(self) -> Frame | None:
        while not self._closing.is_set():
            connection = self._connection or self._reconnect()
            if connection is None:
                continue
            connection.frames.wait(POLL_INTERVAL)
            # Checked before ``take``: a last frame may still come in between.
            over = connection.failure is not None or self._is_quiet(connection)
            grabbed = connection.frames.take()
            self.skipped = self._skipped_before + connection.skipped
            if grabbed is not None:
                return self._deliver(connection, grabbed)
            if over:
                self._lose(connection, self._reason(connection))
        return None

    def _deliver(self, connection: Connection, grabbed: Grabbed) -> Frame:
        image, captured, number = grabbed
        if self._delivered:  # frames before the first one could not have been read
            self.overtaken += number - self._expected
        self._expected = number + 1
        self._attempts = 0
        self.fps = connection.fps
        gap = self._gaps.regain(captured)
        size = (image.shape[1], image.shape[0])
        if gap is not None:
            log.warning("%s is back after %.1f s, %dx%d", self.name, gap, *size)
        elif self._size not in (None, size):
            log.warning("%s now has %dx%d", self.name, *size)
        self._size = size
        index = self._delivered
        self._delivered += 1
        return Frame(image, index, captured, f"{index:06d}")

    def _is_quiet(self, connection: Connection) -> bool:
        """Whether the next frame of a connection is overdue."""
        now = time.monotonic()
        if connection.newest is None:
            return now - connection.started > self._opening
        silence = max(_SILENCE, _FRAMES_OF_SILENCE / connection.fps if connection.fps else 0)
        return now - connection.newest > silence

    def _reason(self, connection: Connection) -> SourceError:
        if connection.failure is not None:
            return connection.failure
        waited = time.monotonic() - (connection.newest or connection.started)
        return SourceError(f"{self.name} gave no frame for {waited:.1f} s; {self._remedy}")

    def _lose(self, connection: Connection, reason: SourceError) -> None:
        """Give up a connection; raise if that was the last attempt."""
        connection.drop()
        self._connection, self._dropped = None, connection
        first = self.health().state == "live"
        self._gaps.lose(connection.newest or connection.started)
        if first:
            log.warning("%s (reconnecting)", reason)
        else:
            self._attempts += 1
            log.debug("attempt %d: %s", self._attempts, reason)
        self._skipped_before = self.skipped
        self._expected = 0
        if self._retries is not None and self._attempts >= self._retries:
            raise self._final_error(reason) from reason
        now = time.monotonic()
        # Counted from the start of the attempt, so that a long one needs no further pause.
        begun = now if first else connection.started
        self._next_attempt = max(begun + pause(self._attempts), now + _SHORTEST_PAUSE)

    def _final_error(self, reason: SourceError) -> SourceError:
        if not self._delivered:
            return SourceError(f"{reason}; tried {self._attempts + 1} times")
        tried = f" and did not return in {self._attempts} attempts" if self._attempts else ""
        return SourceError(
            f"{self.name} stopped after {self._delivered} frames{tried}; {self._remedy}"
        )

    def _reconnect(self) -> Connection | None:
        """Wait for the pause and connect; None if the source closes or too many drivers hang."""
        if self._closing.wait(max(0.0, self._next_attempt - time.monotonic())):
            return None
        self._stuck = [connection for connection in self._stuck if connection.busy]
        if self._dropped is not None and self._dropped.busy:
            self._stuck.append(self._dropped)
            log.warning("%s: no longer waiting for its driver, which hangs", self.name)
        self._dropped = None
        if len(self._stuck) < _MOST_STUCK:
            self._connection = Connection(self.name, self._open_capture, self._remedy)
        else:
            self._next_attempt = time.monotonic() + _LONGEST_PAUSE
        return self._connection

    def _interrupt(self) -> None:
        self._closing.set()

    def _end(self) -> None:
        super()._end()
        self._gaps.end(time.monotonic())

    def _close(self) -> None:
        connection = self._connection
        if connection is not None:
            connection.drop()
            if not connection.join(CLOSE_TIMEOUT):
                log.warning("%s: no longer waiting for its driver, which hangs", self.name)
