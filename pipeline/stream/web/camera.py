"""One camera on the page: what it last showed, who watches it, and how it is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from models.classes import ClassSet
from pipeline.frame import Result
from pipeline.stream.marks import draw_marks
from pipeline.stream.overlay import Overlay, class_shares
from pipeline.stream.status import StreamStatus
from pipeline.stream.timing import RecentRate, RecentTimes
from pipeline.stream.web.encoding import fitted, jpeg_of, parts_of
from pipeline.stream.web.viewers import Audience

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


class Camera:
    """Takes results in one thread, and is watched from the server's.

    Args:
        number: 1, 2, 3 ... as it stands in addresses.
        source: name as it may be shown.
        classes: names and palette.
        width: of pictures on the page in pixels, at most.
        post: calls a function on the server's event loop, soon, from any thread.

    Attributes:
        parts: viewers that compose pictures themselves.
        drawn: viewers of the drawn stream.
    """

    def __init__(
        self,
        number: int,
        source: str,
        classes: ClassSet,
        width: int,
        post: Callable[[Callable[[], None]], None],
    ) -> None:
        self.number = number
        self.source = source
        self.classes = classes
        self.parts = Audience()
        self.drawn = Audience()
        self._width = width
        self._post = post
        self._status: Callable[[], StreamStatus] | None = None
        self._overlay = Overlay(classes)
        self._drawing = threading.Lock()
        self._drawn: tuple[Result, bytes] | None = None
        self._latest: Result | None = None
        self._began = time.monotonic()
        self._moment = self._began
        self._closed_at: float | None = None
        self._shown = 0
        self._rate = RecentRate()
        self._age = RecentTimes()
        self._encoding = RecentTimes()

    def attach(self, status: Callable[[], StreamStatus]) -> None:
        """Learn where to ask what the stream does."""
        self._status = status

    def show(self, result: Result) -> None:
        """Take a result; it is turned into bytes only for those who watch just now."""
        self._latest = result
        self._moment = now = time.monotonic()
        self._shown += 1
        self._rate.add(now)
        if self.parts.is_hungry():
            self._offer(self.parts, self._timed_parts(result))
        if self.drawn.is_hungry():
            self._offer(self.drawn, self._draw(result))
        self._age.add(time.monotonic() - result.frame.captured)

    def close(self) -> None:
        """Say that nothing more comes; the last picture stays."""
        if self._closed_at is None:
            self._closed_at = time.monotonic()
            self._post(self.drawn.end)

    def current_parts(self) -> bytes | None:
        """Encode the last result for a browser that has just come; None before the first."""
        return None if (result := self._latest) is None else self._timed_parts(result)

    def snapshot(self) -> bytes | None:
        """Draw the last result as a JPEG file; None before the first."""
        return None if (result := self._latest) is None else self._draw(result)

    def condition(self) -> Condition:
        """How it is, from any thread."""
        now = time.monotonic()
        if self._closed_at is not None:
            return Condition("ended", now - self._closed_at, "the stream has ended")
        health = None if self._status is None else self._status().health
        if health is not None and health.state == "ended":
            return Condition("ended", now - health.since, "the source has ended")
        if health is not None and health.state == "lost":
            lost = now - health.since
            return Condition("lost", lost, f"lost for {lost:.0f} s, being reconnected")
        silence = now - self._moment
        if not self._shown:
            return Condition("starting", now - self._began, "no picture yet")
        rate = self._rate.per_second
        if silence > max(_STALLED_AFTER, _STALLED_INTERVALS / rate if rate else 0):
            return Condition("stalled", silence, f"no new picture for {silence:.0f} s")
        return Condition("live", silence, "pictures come")

    def describe(self) -> dict[str, Any]:
        """All that is known, as plain data for JSON; times in milliseconds where the name says."""
        condition = self.condition()
        known: dict[str, Any] = {
            "number": self.number,
            "source": self.source,
            **asdict(condition),
            "since": round(condition.since, 2),
            "viewers": len(self.parts) + len(self.drawn),
            "sent": self.parts.sent + self.drawn.sent,
            "viewer_drops": self.parts.dropped + self.drawn.dropped,
            "encode_ms": self._encoding.summary(),
            "shares": self._shares(),
        }
        known |= self._measured()
        if condition.state != "live":
            known["fps"] = None  # the rate of the last frames says nothing about now
        return known

    def _measured(self) -> dict[str, Any]:
        """What the stream measured; without a stream, what was counted here."""
        if self._status is None:
            return {
                "live": True,
                "running": round(time.monotonic() - self._began, 1),
                "fps": self._rate.per_second,
                "read": self._shown,
                "shown": self._shown,
                "dropped": 0,
                "reconnects": 0,
                "lost_seconds": 0.0,
                "frame_age_ms": self._age.summary(),
                "result_age_ms": {},
                "stages_ms": {},
                "sinks": [],
            }
        status = self._status()
        return {
            "live": status.live,
            "running": round(status.running, 1),
            "fps": status.fps,
            "read": status.read,
            "shown": status.shown,
            "dropped": status.dropped,
            "reconnects": status.health.reconnects,
            "lost_seconds": round(status.health.lost_seconds, 1),
            "frame_age_ms": status.frame_age_ms,
            "result_age_ms": status.result_age_ms,
            "stages_ms": status.stages_ms,
            "sinks": [asdict(sink) for sink in status.sinks],
        }

    def _shares(self) -> dict[str, float]:
        if (result := self._latest) is None:
            return {}
        shares = self._shares_of(result)
        return {
            name: round(share, 4) for name, share in zip(self.classes.names, shares, strict=True)
        }

    def _shares_of(self, result: Result) -> list[float]:
        shares = result.shares
        if shares is None:
            shares = class_shares(result.classes, len(self.classes))
        return [float(share) for share in shares]

    def _timed_parts(self, result: Result) -> bytes:
        began = time.monotonic()
        message = parts_of(result, self._width, began - result.frame.captured)
        self._encoding.add(time.monotonic() - began)
        return message

    def _draw(self, result: Result) -> bytes:
        """Overlay as JPEG, made once for all; the browser's own modes do not go through here."""
        with self._drawing:  # snapshots may be asked for while the stream is drawn
            if self._drawn is None or self._drawn[0] is not result:
                self._drawn = (result, self._jpeg(result))
            return self._drawn[1]

    def _jpeg(self, result: Result) -> bytes:
        image = fitted(result.frame.image, self._width)
        shares = result.shares
        if shares is None:
            shares = class_shares(result.classes, len(self.classes))
        rate = self._rate.per_second
        age = (time.monotonic() - result.frame.captured) * 1e3
        words = f"{'--' if rate is None else f'{rate:.1f}'} fps   age {age:.0f} ms"
        drawn = self._overlay.draw(image, result.classes, shares, words)
        draw_marks(drawn, result.marks)
        return jpeg_of(drawn)

    def _offer(self, audience: Audience, picture: bytes) -> None:
        self._post(lambda: audience.offer(picture))
