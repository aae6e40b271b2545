"""One source in a running stream: its capture thread, its two frame queues and its delivery."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from pipeline.errors import log_failure
from pipeline.runtimes.session import Tint
from pipeline.stream.capture import Capture
from pipeline.stream.channel_figures import ChannelFigures
from pipeline.stream.delivery import Delivery
from pipeline.stream.frame import Frame, Result
from pipeline.stream.frame_counter import Admission, FrameCounter
from pipeline.stream.inputs import StreamInput, StreamOptions
from pipeline.stream.queues import FrameQueue, queue_for
from pipeline.stream.smoothing import Smoother
from pipeline.stream.thread_group import ThreadGroup
from pipeline.stream.timing import StageTimes, Work


class Channel:
    """Hands frames of one source to inference and its results to the sinks.

    A failure of the source, of the drawing, or of the session on this source's frames ends this
    channel only; results that are ready are still delivered. A failing sink ends alone, but the
    failure of the last sink ends the channel.

    Args:
        stream_input: source and sinks; closed by this channel's threads.
        options: of the stream.
        threads: runs the threads of all channels.
        wake_up: set whenever inference may find a frame in some channel.
        failed: called once, with the error, when this channel fails.
        number: appended to thread names where there are several channels; "" for one.

    Attributes:
        figures: what was counted and measured.
    """

    def __init__(
        self,
        stream_input: StreamInput,
        options: StreamOptions,
        threads: ThreadGroup,
        wake_up: threading.Event,
        failed: Callable[[BaseException], None],
        number: str,
    ) -> None:
        if not stream_input.sinks:
            raise ValueError("a stream needs at least one sink; pass a NoneSink")
        self.source = source = stream_input.source
        self._threads = threads
        self._failed = failed
        self._number = number
        self._lock = threading.Lock()
        stages = StageTimes(options.trace.of(source.name) if options.trace else None)
        for stage in ("capture", "infer"):
            stages.of(stage)  # listed in this order, whichever ends first
        self._counter = counter = FrameCounter(len(stream_input.sinks), options.frames, wake_up)
        queue = partial(queue_for, source.live, options.depth, threads.failed, wake_up=wake_up)
        self._captured: FrameQueue[Frame] = queue()
        self._segmented: FrameQueue[Result] = queue(
            on_drop=lambda result: counter.miss(result.frame)
        )
        self._capture = Capture(source, self._captured, stages, options.frames, options.stop)
        self._smoother = Smoother(source.live) if options.smooth else None
        self._delivery = Delivery(stream_input, options, threads, self._segmented, counter, stages)
        self.figures = ChannelFigures(
            source, self._capture, self._captured, counter, stages, self._delivery.workers
        )

    def start(self) -> None:
        self._capture.start(self._threads, f"capture{self._number}", self._fail)
        self._delivery.start(self._number, self.figures.status, self._cancel)

    @property
    def tint(self) -> Tint | None:
        """Class colours that the session is to blend in; None where this channel draws them."""
        return self._delivery.tint

    @property
    def admission(self) -> Admission:
        """Whether inference may find a frame here: now, later, or never again."""
        if self._captured.ended:
            return "closed"
        admission = self._counter.admission
        # Inference must not wait for one channel's slow sinks while another channel has frames.
        return "later" if admission == "open" and not self._segmented.has_room else admission

    def take_if(self, accepts: Callable[[Frame], bool]) -> Frame | None:
        """Return the next frame if there is one and it is accepted; never waits."""
        frame = self._captured.take_if(accepts)
        if frame is not None:
            self._counter.admit()
        return frame

    def accept(self, result: Result, began: float) -> None:
        """Take the class map of a frame; its inference began at ``began``, in monotonic seconds."""
        if self._smoother is not None:
            classes = self._smoother.smooth(result.frame, result.classes)
            result = replace(result, classes=classes, finished=time.monotonic())
        self.figures.inferred(result, Work("infer", result.frame.index, began, result.finished))
        self._segmented.put(result)

    def finish(self) -> None:
        """Close both queues: inference takes no more frames and gives no more results."""
        self._captured.cancel()
        self._segmented.close()

    def fail(self, error: Exception, frames: Sequence[Frame]) -> None:
        """End this channel because the session failed on ``frames``, after its earlier results."""
        for frame in frames:
            self._counter.miss(frame)
        self.finish()
        self._fail(error)

    def look_after(self) -> None:
        """Leave threads behind that hang in a read after the end, or in a write for too long."""
        self._capture.look_after(self._threads)
        self._delivery.look_after()

    def _cancel(self, error: BaseException) -> None:
        """End at once, because the drawing or the last sink failed."""
        self._captured.cancel()
        self._segmented.cancel()
        self._fail(error)

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            first = self.figures.error is None
            if first:
                self.figures.error = error
        if first:
            self._failed(error)
        elif error.__cause__ is not self.figures.error:  # a consequence of the first is not logged
            log_failure(error)
