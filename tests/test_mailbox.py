"""Hand-overs between threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from pipeline.mailbox import HandOver, LosslessQueue, Mailbox

KINDS = [LosslessQueue, Mailbox]


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
    queue: HandOver[int] = LosslessQueue(failed, capacity=2)

    def produce() -> None:
        for number in range(200):
            queue.put(number)
        queue.close()

    in_thread(produce)
    assert list(queue) == list(range(200))
    assert queue.dropped == 0


def test_a_mailbox_keeps_the_newest_and_counts_the_rest(failed: threading.Event) -> None:
    lost: list[int] = []
    mailbox: HandOver[int] = Mailbox(failed, on_drop=lost.append)
    assert all(mailbox.put(number) for number in range(10))
    mailbox.close()
    assert list(mailbox) == [9]
    assert mailbox.dropped == 9
    assert lost == list(range(9))


def test_every_item_of_a_mailbox_is_delivered_or_counted(failed: threading.Event) -> None:
    mailbox: HandOver[int] = Mailbox(failed)

    def produce() -> None:
        for number in range(5000):
            mailbox.put(number)
        mailbox.close()

    in_thread(produce)
    taken = list(mailbox)
    assert taken == sorted(taken)
    assert taken[-1] == 4999
    assert len(taken) + mailbox.dropped == 5000


@pytest.mark.parametrize("kind", KINDS)
def test_what_waits_is_delivered_after_close(
    kind: type[HandOver[int]], failed: threading.Event
) -> None:
    hand_over = kind(failed)
    hand_over.put(1)
    hand_over.close()
    assert list(hand_over) == [1]


@pytest.mark.parametrize("kind", KINDS)
def test_what_comes_after_the_end_is_refused_and_counted(
    kind: type[HandOver[int]], failed: threading.Event
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
    kind: type[HandOver[int]], failed: threading.Event
) -> None:
    hand_over = kind(failed)
    taken: list[list[int]] = []
    consumer = in_thread(lambda: taken.append(list(hand_over)))
    failed.set()
    consumer.join(5)
    assert taken == [[]]


def test_a_failure_elsewhere_ends_a_waiting_producer(failed: threading.Event) -> None:
    queue: HandOver[int] = LosslessQueue(failed)
    queue.put(1)
    accepted: list[bool] = []
    producer = in_thread(lambda: accepted.append(queue.put(2)))
    failed.set()
    producer.join(5)
    assert accepted == [False]


def test_a_consumer_that_cancels_releases_a_waiting_producer(failed: threading.Event) -> None:
    queue: HandOver[int] = LosslessQueue(failed)
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
