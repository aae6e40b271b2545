"""How a camera on the page is, in one word and in words for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipeline.stream.health import SourceHealth

State = Literal["starting", "live", "stalled", "lost", "ended"]

#: A camera without a picture for so many seconds, or so many of its frame intervals, has stalled.
_STALLED_AFTER = 2.0
_STALLED_INTERVALS = 5


@dataclass(frozen=True)
class Condition:
    """How a camera is.

    Attributes:
        state: ``live`` while pictures come.
        since: seconds for which it has been so; while ``live``, age of the last picture.
        reason: in words, for people.
    """

    state: State
    since: float
    reason: str


def condition_of(
    now: float, health: SourceHealth | None, shown: int, last: float, rate: float | None
) -> Condition:
    """Judge a camera whose stream has not ended.

    Args:
        now: seconds of ``time.monotonic()``.
        health: of its source; None where nobody knows.
        shown: pictures so far.
        last: when the last one came, or, before the first, when the page began to wait for it.
        rate: of pictures, per second.
    """
    if health is not None and health.state == "ended":
        return Condition("ended", now - health.since, "the source has ended")
    if health is not None and health.state == "lost":
        lost = now - health.since
        return Condition("lost", lost, f"lost for {lost:.0f} s, being reconnected")
    silence = now - last
    if not shown:
        return Condition("starting", silence, "no picture yet")
    if silence > max(_STALLED_AFTER, _STALLED_INTERVALS / rate if rate else 0):
        return Condition("stalled", silence, f"no new picture for {silence:.0f} s")
    return Condition("live", silence, "pictures come")
