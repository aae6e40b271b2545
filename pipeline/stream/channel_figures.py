"""The figures of one channel: for the page and sinks while it runs, for the report at its end."""

from __future__ import annotations

import time
from collections.abc import Sequence

from pipeline.errors import in_words
from pipeline.stream.capture import Capture
from pipeline.stream.frame import Frame, Result
from pipeline.stream.frame_counter import FrameCounter
from pipeline.stream.queues import FrameQueue
from pipeline.stream.report import Measured, SourceReport
from pipeline.stream.sink_worker import SinkWorker
from pipeline.stream.sources.base import Source
from pipeline.stream.status import StreamStatus
from pipeline.stream.timing import RecentTimes, StageTimes, Times, Work


class ChannelFigures:
    """Collects what the parts of a channel count and measure; any thread may ask.

    Attributes:
        counter: of shown and dropped frames.
        error: why the channel failed; None while it has not.
    """

    def __init__(
        self,
        source: Source,
        capture: Capture,
        captured: FrameQueue[Frame],
        counter: FrameCounter,
        stages: StageTimes,
        workers: Sequence[SinkWorker],
    ) -> None:
        self.error: BaseException | None = None
        self._source = source
        self._capture = capture
        self._captured = captured
        self.counter = counter
        self._stages = stages
        self._workers = workers
        self._started = time.monotonic()
        self._result_age, self._recent_result_age = Times(), RecentTimes()

    def inferred(self, result: Result, work: Work) -> None:
        """Note when a class map was ready and what it took."""
        self._stages.add(work)
        self._result_age.add(result.finished - result.frame.captured)
        self._recent_result_age.add(result.finished - result.frame.captured)

    @property
    def stopped(self) -> bool:
        """Ended by the stop event, not by the source."""
        return self._capture.stopped

    @property
    def read(self) -> int:
        """Frames captured, including those that a newer one replaced before they were read."""
        return self._capture.read + self._source.overtaken

    @property
    def dropped(self) -> int:
        """Frames captured and never shown; frames still under way are not counted."""
        return self._source.overtaken + self._captured.dropped + self.counter.missed

    def status(self) -> StreamStatus:
        """Return the figures of this moment."""
        counter = self.counter
        return StreamStatus(
            source=self._source.name,
            live=self._source.live,
            health=self._source.health(),
            running=time.monotonic() - self._started,
            read=self.read,
            shown=counter.shown,
            dropped=self.dropped,
            fps=counter.recent_rate.per_second,
            frame_age_ms=counter.recent_frame_age.summary(),
            result_age_ms=self._recent_result_age.summary(),
            stages_ms=self._stages.summary(),
            sinks=tuple(worker.status() for worker in self._workers),
        )

    def measured(self) -> Measured:
        """Return the figures of the whole run so far."""
        errors = [worker.error for worker in self._workers]
        if self.error not in errors:
            errors.append(self.error)
        failed = [in_words(error) for error in errors if error is not None]
        lost = [problem for worker in self._workers for problem in worker.sink.problems]
        return Measured(
            read=self.read,
            shown=self.counter.shown,
            dropped=self.dropped,
            promised=self._source.promised,
            skipped=self._source.skipped,
            rate=self.counter.rate,
            frame_age=self.counter.frame_age,
            result_age=self._result_age,
            stages=self._stages,
            sinks=tuple(worker.report() for worker in self._workers),
            problems=(*self._source.problems, *lost, *failed),
        )

    def report(self, has_limit: bool) -> SourceReport:
        """Summarise the run; ``has_limit``: a number of frames was asked for."""
        has_end = has_limit or not (self._source.live or self._source.endless)
        health = self._source.health()
        return SourceReport(
            **self.measured().figures(),
            source=self._source.name,
            live=self._source.live,
            gaps=health.gaps,
            reconnects=health.reconnects,
            lost_seconds=round(health.lost_seconds, 3),
            cut_short=self.stopped and has_end,
        )
