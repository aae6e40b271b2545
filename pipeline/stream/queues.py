"""Queues between two threads: a lossless one for files, a latest-value one for cameras.

One thread puts, one thread iterates or takes. Both kinds are bounded, and a thread that waits
returns when any stage fails. The latest-value queue is also used between a camera's driver and its
source, and before each window, viewer of the page and reader of the socket.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from pipeline.stream.waiting import POLL_INTERVAL

T = TypeVar("T")


class FrameQueue(ABC, Generic[T]):
    """Items from one thread to the next, in order.

    It ends in one of three ways: the producer calls ``close`` (waiting items are still delivered),
    the consumer calls ``cancel`` (waiting items are dropped), or a stage sets ``failed`` (both
    sides return).

    Args:
        failed: set when any stage of the stream fails; None outside of a stream.
        capacity: items that may wait.
        on_drop: called with every item that is never delivered, in the thread that dropped it.
        wake_up: set at every change, for a thread that watches several queues.

    Attributes:
        dropped: items that were put and never delivered, including those refused by ``put``.
    """

    def __init__(
        self,
        failed: threading.Event | None = None,
        capacity: int = 1,
        on_drop: Callable[[T], None] | None = None,
        wake_up: threading.Event | None = None,
    ) -> None:
        if capacity < 1:
            raise ValueError(f"capacity is {capacity}; at least one item must be able to wait")
        self.dropped = 0
        self._failed = failed or threading.Event()
        self._capacity = capacity
        self._on_drop = on_drop
        self._wake_up = wake_up
        self._waiting: deque[T] = deque()
        self._closed = False
        self._changed = threading.Condition()

    def put(self, item: T) -> bool:
        """Add an item; False if the queue has ended, and the item is dropped."""
        lost: list[T] = []
        with self._changed:
            open_ = self._make_room(lost)
            if open_:
                self._waiting.append(item)
                self._tell()
            else:
                lost.append(item)
            self.dropped += len(lost)
        self._report(lost)
        return open_

    def close(self) -> None:
        """End from the producer's side; the consumer still gets the waiting items."""
        with self._changed:
            self._closed = True
            self._tell()

    def cancel(self) -> None:
        """End from the consumer's side; waiting items are dropped and counted."""
        with self._changed:
            self._closed = True
            lost = list(self._waiting)
            self._waiting.clear()
            self.dropped += len(lost)
            self._tell()
        self._report(lost)

    @property
    def closed(self) -> bool:
        """``close`` or ``cancel`` was called; items may still wait."""
        return self._closed

    @property
    def ended(self) -> bool:
        """Closed, and no item waits."""
        with self._changed:
            return self._closed and not self._waiting

    @property
    def is_empty(self) -> bool:
        """No item waits."""
        return not self._waiting

    @property
    def has_room(self) -> bool:
        """Whether the next ``put`` returns at once."""
        with self._changed:
            return len(self._waiting) < self._capacity or not self._is_open()

    def wait(self, seconds: float) -> bool:
        """Wait for an item or for the end, ``seconds`` at most; False after a time-out."""
        with self._changed:
            return self._changed.wait_for(
                lambda: bool(self._waiting) or not self._is_open(), seconds
            )

    def take(self) -> T | None:
        """Return the next item if there is one, else None; never waits."""
        return self.take_if(lambda _: True)

    def take_if(self, accepts: Callable[[T], bool]) -> T | None:
        """Return the next item if there is one and it is accepted, else None; never waits."""
        with self._changed:
            if self._failed.is_set() or not self._waiting or not accepts(self._waiting[0]):
                return None
            return self._take()

    def __iter__(self) -> Iterator[T]:
        """Yield items in order until the queue is closed and empty, or a stage failed."""
        while True:
            with self._changed:
                while not (self._waiting or self._closed or self._failed.is_set()):
                    self._changed.wait(POLL_INTERVAL)
                if self._failed.is_set() or not self._waiting:
                    return
                item = self._take()
            yield item

    @abstractmethod
    def _make_room(self, lost: list[T]) -> bool:
        """Make room for one item, adding dropped ones to ``lost``; False if the queue has ended."""

    def _take(self) -> T:
        item = self._waiting.popleft()
        self._tell()
        return item

    def _tell(self) -> None:
        self._changed.notify_all()
        if self._wake_up is not None and not self._wake_up.is_set():
            self._wake_up.set()

    def _is_open(self) -> bool:
        return not (self._closed or self._failed.is_set())

    def _report(self, lost: list[T]) -> None:
        if self._on_drop is not None:
            for item in lost:
                self._on_drop(item)


class LosslessQueue(FrameQueue[T]):
    """The producer waits for room, so every item arrives."""

    def _make_room(self, lost: list[T]) -> bool:
        while len(self._waiting) >= self._capacity and self._is_open():
            self._changed.wait(POLL_INTERVAL)
        return self._is_open()


class LatestValueQueue(FrameQueue[T]):
    """The producer never waits; if the queue is full, the oldest item is dropped."""

    @property
    def has_room(self) -> bool:
        return True

    def _make_room(self, lost: list[T]) -> bool:
        if not self._is_open():
            return False
        while len(self._waiting) >= self._capacity:
            lost.append(self._waiting.popleft())
        return True


def queue_for(
    latest_value: bool,
    depth: int,
    failed: threading.Event,
    on_drop: Callable[[T], None] | None = None,
    wake_up: threading.Event | None = None,
) -> FrameQueue[T]:
    """Return a latest-value queue, or else a lossless one of ``depth`` items."""
    if latest_value:
        return LatestValueQueue(failed, on_drop=on_drop, wake_up=wake_up)
    return LosslessQueue(failed, depth, on_drop, wake_up)
