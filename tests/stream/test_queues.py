"""Queues between threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from pipeline.stream.queues import FrameQueue, LatestValueQueue, LosslessQueue

KINDS = [LosslessQueue, LatestValueQueue]


@pytest.fixture
def failed() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def in_thread(work: object) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)  # type: ignore[arg-type]
    thread.start()
    return thread


def test_a_queue_delivers_everything_in_order_to_a_slow_consumer(failed: threading.Event) -> None:
    queue: FrameQueue[int] = LosslessQueue(failed, capacity=2)

    def produce() -> None:
        for number in range(200):
            queue.put(number)
        queue.close()

    in_thread(produce)
    assert list(queue) == list(range(200))
    assert queue.dropped == 0


def test_a_latest_value_queue_keeps_the_newest_and_counts_the_rest(failed: threading.Event) -> None:
    lost: list[int] = []
    newest: FrameQueue[int] = LatestValueQueue(failed, on_drop=lost.append)
    assert all(newest.put(number) for number in range(10))
    newest.close()
    assert list(newest) == [9]
    assert newest.dropped == 9
    assert lost == list(range(9))


def test_every_item_of_a_latest_value_queue_is_delivered_or_counted(
    failed: threading.Event,
) -> None:
    newest: FrameQueue[int] = LatestValueQueue(failed)

    def produce() -> None:
        for number in range(5000):
            newest.put(number)
        newest.close()

    in_thread(produce)
    taken = list(newest)
    assert taken == sorted(taken)
    assert taken[-1] == 4999
    assert len(taken) + newest.dropped == 5000


@pytest.mark.parametrize("kind", KINDS)
def test_what_waits_is_delivered_after_close(
    kind: type[FrameQueue[int]], failed: threading.Event
) -> None:
    hand_over = kind(failed)
    hand_over.put(1)
    hand_over.close()
    assert list(hand_over) == [1]


@pytest.mark.parametrize("kind", KINDS)
def test_what_comes_after_the_end_is_refused_and_counted(
    kind: type[FrameQueue[int]], failed: threading.Event
) -> None:
    lost: list[int] = []
    hand_over = kind(failed, on_drop=lost.append)
    hand_over.put(1)
    hand_over.cancel()
    assert not hand_over.put(2)
    assert list(hand_over) == []
    assert hand_over.dropped == 2
    assert lost == [1, 2]


@pytest.mark.parametrize("kind", KINDS)
def test_a_failure_elsewhere_ends_a_waiting_consumer(
    kind: type[FrameQueue[int]], failed: threading.Event
) -> None:
    hand_over = kind(failed)
    taken: list[list[int]] = []
    consumer = in_thread(lambda: taken.append(list(hand_over)))
    failed.set()
    consumer.join(5)
    assert taken == [[]]


def test_a_failure_elsewhere_ends_a_waiting_producer(failed: threading.Event) -> None:
    queue: FrameQueue[int] = LosslessQueue(failed)
    queue.put(1)
    accepted: list[bool] = []
    producer = in_thread(lambda: accepted.append(queue.put(2)))
    failed.set()
    producer.join(5)
    assert accepted == [False]


def test_a_consumer_that_cancels_releases_a_waiting_producer(failed: threading.Event) -> None:
    queue: FrameQueue[int] = LosslessQueue(failed)
    queue.put(1)
    accepted: list[bool] = []
    producer = in_thread(lambda: accepted.append(queue.put(2)))
    queue.cancel()
    producer.join(5)
    assert accepted == [False]
    assert queue.dropped == 2


def test_a_hand_over_without_room_is_refused(failed: threading.Event) -> None:
    with pytest.raises(ValueError, match="at least one"):
        LosslessQueue(failed, capacity=0)


@pytest.mark.parametrize("kind", KINDS)
def test_who_watches_several_takes_without_waiting(
    kind: type[FrameQueue[int]], failed: threading.Event
) -> None:
    hand_over = kind(failed)
    assert hand_over.take_if(lambda _item: True) is None
    hand_over.put(5)
    assert hand_over.take_if(lambda item: item > 5) is None
    assert hand_over.take_if(lambda item: item == 5) == 5
    assert hand_over.take_if(lambda _item: True) is None
    assert hand_over.dropped == 0


def test_a_queue_has_room_until_it_is_full_and_a_latest_value_one_always(
    failed: threading.Event,
) -> None:
    queue: FrameQueue[int] = LosslessQueue(failed, capacity=2)
    newest: FrameQueue[int] = LatestValueQueue(failed)
    for number in (1, 2):
        assert queue.has_room
        queue.put(number)
        newest.put(number)
    assert not queue.has_room
    assert newest.has_room
    queue.take_if(lambda _item: True)
    assert queue.has_room
    queue.put(3)
    queue.cancel()
    assert queue.has_room, "a put that is refused does not wait"


@pytest.mark.parametrize("kind", KINDS)
def test_a_hand_over_has_ended_when_it_is_closed_and_empty(
    kind: type[FrameQueue[int]], failed: threading.Event
) -> None:
    hand_over = kind(failed)
    hand_over.put(1)
    hand_over.close()
    assert hand_over.closed
    assert not hand_over.ended
    hand_over.take_if(lambda _item: True)
    assert hand_over.ended


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("change", ["put", "take", "close", "cancel"])
def test_the_bell_rings_at_every_change(
    kind: type[FrameQueue[int]], change: str, failed: threading.Event
) -> None:
    wake_up = threading.Event()
    hand_over = kind(failed, wake_up=wake_up)
    changes = {
        "put": lambda: hand_over.put(2),
        "take": lambda: hand_over.take_if(lambda _item: True),
        "close": hand_over.close,
        "cancel": hand_over.cancel,
    }
    if change == "take":
        hand_over.put(1)
    wake_up.clear()
    changes[change]()
    assert wake_up.is_set()
