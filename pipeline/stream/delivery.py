"""Results of one source are drawn once, then put into the queue of every sink."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from pipeline.errors import log_failure
from pipeline.stream.drawing import Drawing
from pipeline.stream.frame import Result
from pipeline.stream.frame_counter import FrameCounter
from pipeline.stream.inputs import StreamInput, StreamOptions
from pipeline.stream.queues import FrameQueue, queue_for
from pipeline.stream.sink_worker import SinkWorker
from pipeline.stream.status import StreamStatus
from pipeline.stream.thread_group import ThreadGroup
from pipeline.stream.timing import StageTimes


class Delivery:
    """The threads after inference: one that draws, and one for each sink.

    A failing sink ends alone; the failure of the drawing, or of the last sink, ends the delivery.

    Args:
        stream_input: its sinks are closed by their threads.
        options: of the stream.
        threads: runs the threads.
        results: of inference, in order.
        counter: told of every result that is shown or dropped.
        stages: times drawing and sinks.
    """

    def __init__(
        self,
        stream_input: StreamInput,
        options: StreamOptions,
        threads: ThreadGroup,
        results: FrameQueue[Result],
        counter: FrameCounter,
        stages: StageTimes,
    ) -> None:
        self._options = options
        self._threads = threads
        self._results = results
        self._counter = counter
        self._drawing = Drawing(stream_input.sinks, options, stages)
        self.tint = self._drawing.tint
        live = stream_input.source.live
        keeps_all = any(not sink.may_drop for sink in stream_input.sinks)
        self.workers: list[SinkWorker] = []
        for sink, stage in zip(stream_input.sinks, _stage_names(stream_input), strict=True):
            inbox: FrameQueue[Result] = queue_for(
                live or (sink.may_drop and keeps_all),
                options.depth,
                threads.failed,
                on_drop=lambda result: counter.sink_done(result.frame, False),
            )
            self.workers.append(SinkWorker(stage, sink, inbox, stages, self._sink_failed))

    def start(
        self,
        number: str,
        status: Callable[[], StreamStatus],
        failed: Callable[[BaseException], None],
    ) -> None:
        """Start the threads.

        Args:
            number: appended to their names.
            status: of this source's part of the stream, for sinks that show it.
            failed: called with the error that ended the delivery.
        """
        self._failed = failed
        for worker in self.workers:
            worker.sink.attach(status)
            worker.sink.end_stream = self._options.stop.set
        self._threads.start(f"draw{number}", self._draw)
        self._writing = [
            self._threads.start(f"{worker.stage}{number}", partial(worker.run, self._counter))
            for worker in self.workers
        ]

    def look_after(self) -> None:
        """Give up sinks that hang in a write for too long."""
        for worker, thread in zip(self.workers, self._writing, strict=True):
            if worker.give_up_if_stalled(self._options.stalled, self._counter):
                self._threads.leave(thread)

    def _draw(self) -> None:
        try:
            for result in self._results:
                try:
                    drawn = self._drawing.drawn(result, self._counter.recent_rate.per_second)
                except Exception:
                    self._counter.miss(result.frame)
                    raise
                for worker in self.workers:
                    worker.inbox.put(drawn)
        except Exception as error:  # a bad frame of one channel must not end the others
            self._failed(error)
        finally:
            for worker in self.workers:
                worker.inbox.close()

    def _sink_failed(self, error: BaseException) -> None:
        if all(one.error is not None for one in self.workers):
            self._failed(error)
        else:
            log_failure(error)


def _stage_names(stream_input: StreamInput) -> list[str]:
    """Return the stage name of each sink: its kind, numbered where there are two of a kind."""
    kinds = [sink.name for sink in stream_input.sinks]
    return [
        kind if kinds.count(kind) == 1 else f"{kind}-{kinds[: place + 1].count(kind)}"
        for place, kind in enumerate(kinds)
    ]
