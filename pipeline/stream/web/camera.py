"""One camera on the page: its pictures, state and figures."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from models.classes import ClassSet
from pipeline.stream.frame import Result
from pipeline.stream.health import SourceHealth
from pipeline.stream.status import StreamStatus
from pipeline.stream.timing import RecentRate, RecentTimes
from pipeline.stream.web.condition import Condition, condition_of
from pipeline.stream.web.pictures import Pictures


class Camera:
    """Takes results in one thread, and is asked by the server's thread.

    Args:
        number: 1, 2, 3 ... as in the page's addresses.
        source: name, without passwords.
        classes: names and palette.
        width: largest width in pixels of pictures on the page.
        post: calls a function on the server's event loop, soon, from any thread.

    Attributes:
        pictures: for its viewers.
        stream_status: returns what the stream is doing; None outside of a stream.
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
        self.pictures = Pictures(classes, width, post)
        self.stream_status: Callable[[], StreamStatus] | None = None
        self._began = self._moment = time.monotonic()
        self._closed_at: float | None = None
        self._shown = 0
        self._rate = RecentRate()
        self._age = RecentTimes()

    def show(self, result: Result) -> None:
        self._moment = now = time.monotonic()
        self._shown += 1
        self._rate.add(now)
        self.pictures.show(result, self._rate.per_second)
        self._age.add(time.monotonic() - result.frame.captured)

    def close(self) -> None:
        """End the camera; its last picture stays."""
        if self._closed_at is None:
            self._closed_at = time.monotonic()
            self.pictures.end()

    def condition(self) -> Condition:
        """Return its state; from any thread."""
        now = time.monotonic()
        if self._closed_at is not None:
            return Condition("ended", now - self._closed_at, "the stream has ended")
        health = None if self.stream_status is None else self.stream_status().health
        return condition_of(now, health, self._shown, self._moment, self._rate.per_second)

    def describe(self) -> dict[str, Any]:
        """Return all figures as plain data for JSON; times are in seconds unless named ``_ms``."""
        condition = self.condition()
        status = self._counted() if self.stream_status is None else self.stream_status()
        parts, drawn = self.pictures.parts, self.pictures.drawn
        return {
            "number": self.number,
            "source": self.source,
            **asdict(condition),
            "since": round(condition.since, 2),
            "viewers": len(parts) + len(drawn),
            "sent": parts.sent + drawn.sent,
            "viewer_drops": parts.dropped + drawn.dropped,
            "encode_ms": self.pictures.encoding.summary(),
            "shares": self.pictures.shares,
            "live": status.live,
            "running": round(status.running, 1),
            # When no frames come, the rate of the last ones is out of date.
            "fps": status.fps if condition.state == "live" else None,
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

    def _counted(self) -> StreamStatus:
        """Return a status of what was counted here, for use outside of a stream."""
        return StreamStatus(
            source=self.source,
            live=True,
            health=SourceHealth("live", self._began),
            running=time.monotonic() - self._began,
            read=self._shown,
            shown=self._shown,
            dropped=0,
            fps=self._rate.per_second,
            frame_age_ms=self._age.summary(),
            result_age_ms={},
            stages_ms={},
            sinks=(),
        )


def camera_of(cameras: Sequence[Camera], number: int) -> Camera | None:
    """Return the camera of a number; None if there is none."""
    return next((camera for camera in cameras if camera.number == number), None)
