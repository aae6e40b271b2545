"""Viewers of the page, each with a latest-value queue.

Everything here runs on the server's event loop, except ``Audience.is_ready``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from pipeline.stream.queues import LatestValueQueue
from pipeline.stream.web.connections import Client, network_of

#: Pictures sent to a viewer and not yet acknowledged: one is shown while the next one travels. More
#: would wait in the buffers of a slow network and come late.
_WINDOW = 2
#: Seconds without an acknowledgement after which no pictures are encoded for a viewer.
_PATIENCE = 1.0
#: Seconds without an acknowledgement after which a viewer may be replaced by another.
_STALLED_AFTER = 2.0


class Viewer:
    """One browser, or one player of the drawn stream.

    A picture is sent when the viewer has acknowledged earlier ones; until then it waits, and is
    replaced by the next.

    Args:
        client: other end of its connection.
        window: pictures that may be sent and not yet acknowledged.

    Attributes:
        network: address that counts for limits.
        sent: pictures so far.
    """

    def __init__(self, client: Client = ("", 0), window: int = _WINDOW) -> None:
        self.client = client
        self.network = network_of(client[0])
        self.sent = 0
        self._window = window
        self._on_the_way = 0
        self._answered = time.monotonic()
        self._pictures: LatestValueQueue[bytes] = LatestValueQueue()
        self._offered: bytes | None = None
        self._changed = asyncio.Event()

    @property
    def dropped(self) -> int:
        """Pictures that it was too slow for."""
        return self._pictures.dropped

    @property
    def ended(self) -> bool:
        """Whether ``end`` was called."""
        return self._pictures.closed

    def offer(self, picture: bytes) -> None:
        """Send a picture soon, instead of one that still waits.

        The same picture twice is sent once: a new viewer may get one as the last and as the next.
        """
        if picture is self._offered:
            return
        self._offered = picture
        self._pictures.put(picture)
        self._changed.set()

    def answer(self) -> None:
        """Take an acknowledgement of one picture."""
        self._on_the_way = max(0, self._on_the_way - 1)
        self._answered = time.monotonic()
        self._changed.set()

    def end(self) -> None:
        """Make ``take`` return None, also in later calls."""
        self._pictures.cancel()
        self._changed.set()

    async def take(self, timeout: float | None = None) -> bytes | None:
        """Wait for a picture that may be sent; None at the end, or after ``timeout`` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self.ended:
            free = self._on_the_way < self._window
            if free and (picture := self._pictures.take()) is not None:
                self._on_the_way += 1
                self.sent += 1
                return picture
            self._changed.clear()
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return None
            try:
                await asyncio.wait_for(self._changed.wait(), left)
            except asyncio.TimeoutError:
                return None
        return None

    def is_ready(self, now: float) -> bool:
        """Whether a picture can be sent at once, or probably soon."""
        return self._on_the_way < self._window or now - self._answered < _PATIENCE

    def stalled_for(self, now: float) -> float:
        """Seconds since the last acknowledgement, if nothing more can be sent before the next."""
        return 0.0 if self._on_the_way < self._window else now - self._answered


class ViewerPlaces:
    """Limits how many may watch at once, in all and from one address.

    If all places are taken, a new viewer replaces one that has stalled. ``abort`` ends a viewer's
    connection.
    """

    def __init__(self, limit: int, per_address: int, abort: Callable[[Client], None]) -> None:
        self.limit = limit
        self._per_address = per_address
        self._abort = abort
        self._taken: list[Viewer] = []

    def take(self, viewer: Viewer) -> bool:
        """Take a place; False if there is none."""
        own = [one for one in self._taken if one.network == viewer.network]
        if len(own) >= self._per_address and not self._displace(own):
            return False
        if len(self._taken) >= self.limit and not self._displace(self._taken):
            return False
        self._taken.append(viewer)
        return True

    def give_back(self, viewer: Viewer) -> None:
        if viewer in self._taken:
            self._taken.remove(viewer)

    def _displace(self, viewers: Sequence[Viewer]) -> bool:
        now = time.monotonic()
        longest = max(viewers, key=lambda one: one.stalled_for(now))
        if longest.stalled_for(now) < _STALLED_AFTER:
            return False
        self._taken.remove(longest)
        longest.end()
        self._abort(longest.client)  # a task that waits for the client to read would not end
        return True


class Audience:
    """The viewers of one camera that get the same bytes."""

    def __init__(self) -> None:
        self._viewers: tuple[Viewer, ...] = ()
        self._gone_sent = 0
        self._gone_dropped = 0

    def __len__(self) -> int:
        return len(self._viewers)

    def join(self, viewer: Viewer) -> None:
        self._viewers = (*self._viewers, viewer)

    def leave(self, viewer: Viewer) -> None:
        """Remove a viewer, but keep its counts."""
        self._viewers = tuple(one for one in self._viewers if one is not viewer)
        self._gone_sent += viewer.sent
        self._gone_dropped += viewer.dropped

    def offer(self, picture: bytes) -> None:
        for viewer in self._viewers:
            viewer.offer(picture)

    def end(self) -> None:
        for viewer in self._viewers:
            viewer.end()

    def is_ready(self) -> bool:
        """Whether a viewer can be sent a picture; from any thread."""
        now = time.monotonic()
        return any(viewer.is_ready(now) for viewer in self._viewers)

    @property
    def sent(self) -> int:
        """Pictures sent to all viewers, including those that left."""
        return self._gone_sent + sum(viewer.sent for viewer in self._viewers)

    @property
    def dropped(self) -> int:
        """Pictures that viewers were too slow for, including those that left."""
        return self._gone_dropped + sum(viewer.dropped for viewer in self._viewers)
