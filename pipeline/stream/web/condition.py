"""The state of a camera on the page, as one word and as text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipeline.stream.health import SourceHealth

State = Literal["starting", "live", "stalled", "lost", "ended"]

#: A camera without a picture for this many seconds, and this many frame intervals, has stalled.
_STALLED_AFTER = 2.0
_STALLED_INTERVALS = 5


@dataclass(frozen=True)
class Condition:
    """The state of a camera.

    Attributes:
        state: ``live`` while pictures come.
        since: seconds since the state began; while ``live``, age of the last picture.
        reason: explanation for people.
    """

    state: State
    since: float
    reason: str


def condition_of(
    now: float, health: SourceHealth | None, shown: int, last: float, rate: float | None
) -> Condition:
    """Return the state of a camera whose stream has not ended.

    Args:
        now: seconds of ``time.monotonic()``.
        health: of its source; None if that is not known.
        shown: pictures so far.
        last: when the last picture came; before the first, when the camera was added.
        rate: pictures per second.
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
