"""The thread that writes to one sink, its queue, and what happens when the sink fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from pipeline.errors import SinkError, in_words
from pipeline.stream.frame import Frame, Result
from pipeline.stream.frame_counter import FrameCounter
from pipeline.stream.queues import FrameQueue
from pipeline.stream.report import SinkReport
from pipeline.stream.sinks.base import Sink
from pipeline.stream.status import SinkStatus
from pipeline.stream.timing import StageTimes


class SinkWorker:
    """Writes results from a queue to a sink until the queue ends or the sink fails.

    A failure is reported once. The queue of a failed sink is cancelled, so that the stream does not
    wait for it; later results count as dropped. A write that takes too long is a failure, too.

    Args:
        stage: its name among the stages.
        sink: closed at the end, by the thread that wrote to it.
        inbox: the queue of results to write.
        stages: times the writes.
        failed: called once, when the sink has failed.

    Attributes:
        error: why the sink failed; None while it works.
    """

    def __init__(
        self,
        stage: str,
        sink: Sink,
        inbox: FrameQueue[Result],
        stages: StageTimes,
        failed: Callable[[BaseException], None],
    ) -> None:
        self.stage = stage
        self.sink = sink
        self.inbox = inbox
        self.error: BaseException | None = None
        self._stages = stages
        self._failed = failed
        self._lock = threading.Lock()
        self._writing: tuple[Frame, float] | None = None
        self._refused = 0

    def run(self, counter: FrameCounter) -> None:
        """Write until the end; errors of the sink are reported, not raised."""
        try:
            with self.sink:
                for result in self.inbox:
                    self._write(result, counter)
                    if self.error is not None:
                        return
        except Exception as error:  # one failing sink must not end the others
            self._fail(error)

    def give_up_if_stalled(self, patience: float, counter: FrameCounter) -> bool:
        """Declare the sink failed when a write has taken longer than ``patience`` seconds.

        Returns:
            Whether that happened in this call; its thread is to be left behind.
        """
        with self._lock:
            if self._writing is None or time.monotonic() - self._writing[1] < patience:
                return False
            (frame, _), self._writing = self._writing, None
            self._refused += 1
        self.sink.abandon()
        counter.sink_done(frame, shown=False)
        place = self.sink.output or self.stage
        self._fail(
            SinkError(
                f"{place} took nothing for {patience:g} s after {self.sink.written} frames and "
                "was given up: its output is not finished; check its disk or network"
            )
        )
        return True

    @property
    def dropped(self) -> int:
        """Results that the sink did not take, because it was too slow, failed or was given up."""
        return self.inbox.dropped + self._refused + self.sink.lost

    def status(self) -> SinkStatus:
        """Return the counts of this moment; from any thread."""
        reason = None if self.error is None else in_words(self.error)
        return SinkStatus(self.stage, self.sink.written, self.dropped, reason)

    def report(self) -> SinkReport:
        """Summarise what it did."""
        output = str(self.sink.left) if self.sink.left and self.sink.written else None
        failed = self.error is not None
        return SinkReport(self.stage, output, self.sink.written, self.dropped, failed)

    def _write(self, result: Result, counter: FrameCounter) -> None:
        with self._lock:
            self._writing = (result.frame, time.monotonic())
        shown, lost = False, self.sink.lost
        try:
            with self._stages.measure(self.stage, result.frame.index):
                shown = self.sink.write(result)
        finally:
            with self._lock:
                mine, self._writing = self._writing is not None, None
                self._refused += mine and not shown and self.sink.lost == lost
            if mine:  # otherwise it was given up meanwhile, and counted then
                counter.sink_done(result.frame, shown)

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            if self.error is not None:
                return
            self.error = error
        self.inbox.cancel()
        self._failed(error)
