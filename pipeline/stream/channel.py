"""One source's way through a stream: its capture, its frame queues and its delivery."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from pipeline.errors import in_words, log_failure
from pipeline.frame import Frame, Result
from pipeline.runtimes.session import Tint
from pipeline.stream.capture import Capture
from pipeline.stream.delivery import Delivery
from pipeline.stream.frame_counter import Admission, FrameCounter
from pipeline.stream.inputs import StreamInput, StreamOptions
from pipeline.stream.queues import FrameQueue, queue_for
from pipeline.stream.report import Measured, SourceReport
from pipeline.stream.smoothing import Smoother
from pipeline.stream.status import StreamStatus
from pipeline.stream.thread_group import ThreadGroup
from pipeline.stream.timing import RecentTimes, StageTimes, Times, Work


@dataclass(frozen=True)
class ChannelContext:
    """What the channels of a stream share.

    Attributes:
        threads: runs the threads.
        wake_up: set whenever inference may find a frame in some channel.
        channel_failed: called, once per channel, when it failed.
    """

    threads: ThreadGroup
    wake_up: threading.Event
    channel_failed: Callable[[BaseException], None]


class Channel:
    """One source under way. Inference asks it for frames and gives it class maps.

    The failure of its source, of its drawing, or of the session on its frames ends this channel
    alone, after what came before; a sink's failure ends that sink; the failure of its last sink
    ends the channel.

    Args:
        stream_input: source and sinks; closed by this channel's threads.
        options: of the stream.
        context: what all channels share.
        number: appended to names of threads where there are several channels; "" for one.

    Attributes:
        error: why the channel failed; None while it has not.
    """

    def __init__(
        self,
        stream_input: StreamInput,
        options: StreamOptions,
        context: ChannelContext,
        number: str,
    ) -> None:
        if not stream_input.sinks:
            raise ValueError("a stream needs at least one sink; pass a NoneSink")
        self.error: BaseException | None = None
        self.source = stream_input.source
        self.counter = FrameCounter(len(stream_input.sinks), options.frames, context.wake_up)
        self._options = options
        self._context = context
        self._number = number
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._result_age, self._recent_result_age = Times(), RecentTimes()
        self._stages = StageTimes(options.trace.of(self.source.name) if options.trace else None)
        for stage in ("capture", "infer"):
            self._stages.of(stage)  # listed in this order, whichever ends first
        queue = partial(
            queue_for,
            self.source.live,
            options.depth,
            context.threads.failed,
            wake_up=context.wake_up,
        )
        self._captured: FrameQueue[Frame] = queue()
        self._segmented: FrameQueue[Result] = queue(
            on_drop=lambda result: self.counter.miss(result.frame)
        )
        self._capture = Capture(
            self.source, self._captured, self._stages, options.frames, options.stop
        )
        self._smoother = Smoother(self.source.live) if options.smooth else None
        self._delivery = Delivery(
            stream_input, options, context.threads, self._segmented, self.counter, self._stages
        )

    def start(self) -> None:
        """Start the threads."""
        self._capture.start(self._context.threads, f"capture{self._number}", self._fail)
        self._delivery.start(self._number, self.status, self._cancel)

    @property
    def tint(self) -> Tint | None:
        """Class colours that this channel's pictures need; None where it draws them itself."""
        return self._delivery.tint

    @property
    def admission(self) -> Admission:
        """Whether inference may find a frame here: now, later, or never again."""
        if self._captured.ended:
            return "closed"
        admission = self.counter.admission
        # Inference must not wait for one channel's slow sinks while another channel has frames.
        return "later" if admission == "open" and not self._segmented.has_room else admission

    def take_if(self, accepts: Callable[[Frame], bool]) -> Frame | None:
        """Return the next frame if there is one and it is accepted; never waits."""
        frame = self._captured.take_if(accepts)
        if frame is not None:
            self.counter.admit()
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

    def fail(self, error: Exception, frames: Sequence[Frame]) -> None:
        """End this channel because of ``frames``, which inference took, after what came before."""
        for frame in frames:
            self.counter.miss(frame)
        self.finish()
        self._fail(error)

    def look_after(self) -> None:
        """Give up what is stuck: a read after the end, a write for too long."""
        self._capture.look_after(self._context.threads)
        self._delivery.look_after()

    @property
    def stopped(self) -> bool:
        """Ended by the stop event, not by the source."""
        return self._capture.stopped

    @property
    def _read(self) -> int:
        """Frames captured, those included that the camera's next one overtook."""
        return self._capture.read + self.source.overtaken

    @property
    def dropped(self) -> int:
        """Frames captured and never shown, those under way not counted."""
        return self.source.overtaken + self._captured.dropped + self.counter.missed

    def status(self) -> StreamStatus:
        """Take a picture, from any thread."""
        counter = self.counter
        return StreamStatus(
            source=self.source.name,
            live=self.source.live,
            health=self.source.health(),
            running=time.monotonic() - self._started,
            read=self._read,
            shown=counter.shown,
            dropped=self.dropped,
            fps=counter.recent_rate.per_second,
            frame_age_ms=counter.recent_frame_age.summary(),
            result_age_ms=self._recent_result_age.summary(),
            stages_ms=self._stages.summary(),
            sinks=tuple(worker.status() for worker in self._delivery.workers),
        )

    def measured(self) -> Measured:
        """What was counted and measured so far."""
        errors = [worker.error for worker in self._delivery.workers]
        if self.error not in errors:
            errors.append(self.error)
        failed = [in_words(error) for error in errors if error is not None]
        lost = [problem for worker in self._delivery.workers for problem in worker.sink.problems]
        return Measured(
            read=self._read,
            shown=self.counter.shown,
            dropped=self.dropped,
            promised=self.source.promised,
            skipped=self.source.skipped,
            rate=self.counter.rate,
            frame_age=self.counter.frame_age,
            result_age=self._result_age,
            stages=self._stages,
            sinks=tuple(worker.report() for worker in self._delivery.workers),
            problems=(*self.source.problems, *lost, *failed),
        )

    def report(self) -> SourceReport:
        """Summarise this channel."""
        has_end = self._options.frames is not None or not (self.source.live or self.source.endless)
        return self.measured().report(
            self.source.name, self.source.live, self.source.health(), self.stopped and has_end
        )

    def _cancel(self, error: BaseException) -> None:
        """End at once because of what stands behind inference."""
        self._captured.cancel()
        self._segmented.cancel()
        self._fail(error)

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            first, self.error = self.error is None, self.error or error
        if first:
            self._context.channel_failed(error)
        elif error.__cause__ is not self.error:  # what follows from the first one is no news
            log_failure(error)
