"""Who watches: one latest-value queue per viewer.

All of it lives on the event loop of the server; only ``Audience.is_hungry`` is asked from outside.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from pipeline.stream.queues import LatestValueQueue
from pipeline.stream.web.connections import Client, network_of

#: Pictures on the way to a viewer that it has not answered yet: one is shown while one travels.
#: More would pile up in the buffers of a slow network and come late.
_WINDOW = 2
#: Seconds without an answer after which pictures are no longer made for a viewer's sake.
_PATIENCE = 1.0
#: Seconds without an answer after which a viewer leaves its place to another.
_STALLED_AFTER = 2.0


class Viewer:
    """One browser or one stream.

    A picture is sent when the viewer has answered earlier ones; until then it waits, and the next
    one takes its place.

    Args:
        client: other end of its connection.
        window: pictures on the way at once.

    Attributes:
        network: what counts as its address.
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
        """Nothing more is to be sent."""
        return self._pictures.closed

    def offer(self, picture: bytes) -> None:
        """Send a picture soon; one that still waits is dropped, and one it has is not sent again.

        Who comes just when a picture is shown is offered it twice: as the last, and as the next.
        """
        if picture is self._offered:
            return
        self._offered = picture
        self._pictures.put(picture)
        self._changed.set()

    def answer(self) -> None:
        """Say that a picture has arrived."""
        self._on_the_way = max(0, self._on_the_way - 1)
        self._answered = time.monotonic()
        self._changed.set()

    def end(self) -> None:
        """Let ``take`` return, now and from now on."""
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

    def is_hungry(self, now: float) -> bool:
        """Whether a picture is worth making: it can go out at once, or probably soon."""
        return self._on_the_way < self._window or now - self._answered < _PATIENCE

    def stalled_for(self, now: float) -> float:
        """Seconds for which all pictures on the way have not been answered."""
        return 0.0 if self._on_the_way < self._window else now - self._answered


class ViewerPlaces:
    """How many may watch at once, all cameras together, and how many of them from one address.

    Where all places are taken, a viewer that has stalled leaves for the one that comes.

    Args:
        limit: of viewers.
        per_address: of viewers from one address.
        abort: ends the connection of a viewer.
    """

    def __init__(self, limit: int, per_address: int, abort: Callable[[Client], None]) -> None:
        self.limit = limit
        self._per_address = per_address
        self._abort = abort
        self._taken: list[Viewer] = []

    def take(self, viewer: Viewer) -> bool:
        """Take a place; False when there is none."""
        own = [one for one in self._taken if one.network == viewer.network]
        if len(own) >= self._per_address and not self._displace(own):
            return False
        if len(self._taken) >= self.limit and not self._displace(self._taken):
            return False
        self._taken.append(viewer)
        return True

    def give_back(self, viewer: Viewer) -> None:
        """Leave a place to somebody else."""
        if viewer in self._taken:
            self._taken.remove(viewer)

    def _displace(self, viewers: Sequence[Viewer]) -> bool:
        now = time.monotonic()
        longest = max(viewers, key=lambda one: one.stalled_for(now))
        if longest.stalled_for(now) < _STALLED_AFTER:
            return False
        self._taken.remove(longest)
        longest.end()
        self._abort(longest.client)  # what waits for a reader does not see the end
        return True


class Audience:
    """The viewers of one camera that all get the same bytes."""

    def __init__(self) -> None:
        self._viewers: tuple[Viewer, ...] = ()
        self._gone_sent = 0
        self._gone_dropped = 0

    def __len__(self) -> int:
        return len(self._viewers)

    def join(self, viewer: Viewer) -> None:
        """Let a viewer get what is offered from now on."""
        self._viewers = (*self._viewers, viewer)

    def leave(self, viewer: Viewer) -> None:
        """Forget a viewer, not its counts."""
        self._viewers = tuple(one for one in self._viewers if one is not viewer)
        self._gone_sent += viewer.sent
        self._gone_dropped += viewer.dropped

    def offer(self, picture: bytes) -> None:
        """Give a picture to everybody."""
        for viewer in self._viewers:
            viewer.offer(picture)

    def end(self) -> None:
        """Send everybody home."""
        for viewer in self._viewers:
            viewer.end()

    def is_hungry(self) -> bool:
        """Whether anybody could take a picture now; from any thread."""
        now = time.monotonic()
        return any(viewer.is_hungry(now) for viewer in self._viewers)

    @property
    def sent(self) -> int:
        """Pictures sent to all viewers, those that left included."""
        return self._gone_sent + sum(viewer.sent for viewer in self._viewers)

    @property
    def dropped(self) -> int:
        """Pictures that viewers were too slow for, those that left included."""
        return self._gone_dropped + sum(viewer.dropped for viewer in self._viewers)
