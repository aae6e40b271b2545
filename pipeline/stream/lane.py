"""One source's way through a stream: its capture, its hand-overs, its drawing and its sinks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from pipeline.failures import in_words, log_failure
from pipeline.frame import Frame, Result
from pipeline.mailbox import HandOver, LosslessQueue, Mailbox
from pipeline.overlay import Tint
from pipeline.report import Measured, SourceReport
from pipeline.smoothing import Smoother
from pipeline.status import StreamStatus
from pipeline.stream.crew import Crew
from pipeline.stream.delivery import Admission, Delivery
from pipeline.stream.drawing import Drawing
from pipeline.stream.feed import Feed, StreamOptions
from pipeline.stream.intake import Intake
from pipeline.stream.outlet import Outlet
from pipeline.timing import RecentTimes, StageTimes, Times, Work


@dataclass(frozen=True)
class Team:
    """What the lanes of a stream share.

    Attributes:
        crew: runs the threads.
        bell: rung whenever inference may find a frame in some lane.
        lane_failed: called, once per lane, when it failed.
    """

    crew: Crew
    bell: threading.Event
    lane_failed: Callable[[BaseException], None]


class Lane:
    """One feed under way. Inference asks it for frames and gives it class maps.

    Its source's failure ends this lane alone, after what was captured; a sink's failure ends that
    sink; the failure of its last sink ends the lane.

    Args:
        feed: source and sinks; closed by this lane's threads.
        options: of the stream.
        team: what all lanes share.
        number: appended to names of threads where there are several lanes; "" for one.

    Attributes:
        error: why the lane failed; None while it has not.
    """

    def __init__(self, feed: Feed, options: StreamOptions, team: Team, number: str) -> None:
        if not feed.sinks:
            raise ValueError("a stream needs at least one sink; pass a NoneSink")
        self.error: BaseException | None = None
        self.source = feed.source
        self.delivery = Delivery(len(feed.sinks), options.frames, team.bell)
        self._options = options
        self._team = team
        self._number = number
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._result_age, self._recent_result_age = Times(), RecentTimes()
        self._stages = StageTimes(options.trace.of(feed.source.name) if options.trace else None)
        for stage in ("capture", "infer"):
            self._stages.of(stage)  # listed in this order, whichever ends first
        live = feed.source.live
        self._captured: HandOver[Frame] = self._hand_over(live, bell=team.bell)
        self._segmented: HandOver[Result] = self._hand_over(
            live, bell=team.bell, on_drop=lambda result: self.delivery.miss(result.frame)
        )
        self._intake = Intake(
            feed.source, self._captured, self._stages, options.frames, options.stop
        )
        self._smoother = Smoother(feed.source.live) if options.smooth else None
        self._drawing = Drawing(feed.sinks, options, self._stages)
        self._outlets = self._open_outlets(feed)

    def _open_outlets(self, feed: Feed) -> list[Outlet]:
        keeps_all = any(not sink.may_drop for sink in feed.sinks)
        outlets = []
        for sink, stage in zip(feed.sinks, _stage_names(feed), strict=True):
            inbox: HandOver[Result] = self._hand_over(
                feed.source.live or (sink.may_drop and keeps_all),
                on_drop=lambda result: self.delivery.settle(result.frame, False),
            )
            outlets.append(Outlet(stage, sink, inbox, self._stages, self._sink_failed))
        return outlets

    def _hand_over(self, newest_wins: bool, **arguments: Any) -> HandOver[Any]:
        if newest_wins:
            return Mailbox(self._team.crew.failed, **arguments)
        return LosslessQueue(self._team.crew.failed, self._options.depth, **arguments)

    def start(self) -> None:
        """Start the threads."""
        for outlet in self._outlets:
            outlet.sink.attach(self.status)
            outlet.sink.end_stream = self._options.stop.set
        self._intake.start(self._team.crew, f"capture{self._number}", self._fail)
        start = self._team.crew.start
        start(f"draw{self._number}", self._draw)
        self._writing = [
            start(f"{outlet.stage}{self._number}", partial(outlet.run, self.delivery))
            for outlet in self._outlets
        ]

    @property
    def tint(self) -> Tint | None:
        """Class colours that this lane's pictures need; None where it draws them itself."""
        return self._drawing.tint

    @property
    def admission(self) -> Admission:
        """Whether inference may find a frame here: now, later, or never again."""
        if self._captured.ended:
            return "closed"
        admission = self.delivery.admission
        # Inference must not wait for one lane's slow sinks while another lane has frames.
        return "later" if admission == "open" and not self._segmented.has_room else admission

    def take_if(self, accepts: Callable[[Frame], bool]) -> Frame | None:
        """Return the next frame if there is one and it is accepted; never waits."""
        frame = self._captured.take_if(accepts)
        if frame is not None:
            self.delivery.admit()
        return frame

    def accept(self, result: Result, began: float) -> None:
        """Take the class map of a frame that was taken; inference began with it at ``began``."""
        if self._smoother is not None:
            classes = self._smoother.smooth(result.frame, result.classes)
            result = replace(result, classes=classes, finished=time.monotonic())
        self._stages.add(Work("infer", result.frame.index, began, result.finished))
        self._result_age.add(result.finished - result.frame.captured)
        self._recent_result_age.add(result.finished - result.frame.captured)
        self._segmented.put(result)

    def finish(self) -> None:
        """Say that inference takes nothing more and gives nothing more."""
        self._captured.cancel()
        self._segmented.close()

    def look_after(self) -> None:
        """Give up what is stuck: a read after the end, a write for too long."""
        self._intake.look_after(self._team.crew)
        for outlet, thread in zip(self._outlets, self._writing, strict=True):
            if outlet.give_up_if_stalled(self._options.stalled, self.delivery):
                self._team.crew.leave(thread)

    @property
    def stopped(self) -> bool:
        """Ended by the stop event, not by the source."""
        return self._intake.stopped

    @property
    def dropped(self) -> int:
        """Frames captured and never shown, those under way not counted."""
        return self._captured.dropped + self.delivery.missed

    def status(self) -> StreamStatus:
        """Take a picture, from any thread."""
        delivery = self.delivery
        return StreamStatus(
            source=self.source.name,
            live=self.source.live,
            health=self.source.health(),
            running=time.monotonic() - self._started,
            read=self._intake.read,
            shown=delivery.shown,
            dropped=self.dropped,
            fps=delivery.recent_rate.per_second,
            frame_age_ms=delivery.recent_frame_age.summary(),
            result_age_ms=self._recent_result_age.summary(),
            stages_ms=self._stages.summary(),
            sinks=tuple(outlet.status() for outlet in self._outlets),
        )

    def measured(self) -> Measured:
        """What was counted and measured so far."""
        errors = [outlet.error for outlet in self._outlets]
        if self.error not in errors:
            errors.append(self.error)
        failed = [in_words(error) for error in errors if error is not None]
        return Measured(
            read=self._intake.read,
            shown=self.delivery.shown,
            dropped=self.dropped,
            promised=self.source.promised,
            skipped=self.source.skipped,
            rate=self.delivery.rate,
            frame_age=self.delivery.frame_age,
            result_age=self._result_age,
            stages=self._stages,
            sinks=tuple(outlet.report() for outlet in self._outlets),
            problems=(*self.source.problems, *failed),
        )

    def report(self) -> SourceReport:
        """Summarise this lane."""
        return self.measured().report(self.source.name, self.source.live, self.source.health())

    def _draw(self) -> None:
        for result in self._segmented:
            dressed = self._drawing.dressed(result, self._words(result.frame))
            for outlet in self._outlets:
                outlet.inbox.put(dressed)
        for outlet in self._outlets:
            outlet.inbox.close()

    def _words(self, frame: Frame) -> str:
        """Frame rate so far and the age of this frame, as text for the picture."""
        rate = self.delivery.recent_rate.per_second
        age = (time.monotonic() - frame.captured) * 1e3
        return f"{'--' if rate is None else f'{rate:.1f}'} fps   age {age:.0f} ms"

    def _sink_failed(self, error: BaseException) -> None:
        if all(one.error is not None for one in self._outlets):
            self._captured.cancel()
            self._segmented.cancel()
            self._fail(error)
        else:
            log_failure(error)

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            first, self.error = self.error is None, self.error or error
        if first:
            self._team.lane_failed(error)
        else:
            log_failure(error)


def _stage_names(feed: Feed) -> list[str]:
    """Return names of sinks among the stages; numbered where two are of one kind."""
    kinds = [sink.name for sink in feed.sinks]
    return [
        kind if kinds.count(kind) == 1 else f"{kind}-{kinds[: place + 1].count(kind)}"
        for place, kind in enumerate(kinds)
    ]
