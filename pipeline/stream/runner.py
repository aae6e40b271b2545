"""From sources through one session to sinks, in threads that hand frames on and never pile up.

::

    capture ->         -> draw -> sink
                                -> sink
               infer
    capture ->         -> draw -> sink

Each arrow is a bounded frame queue. Files go through queues in which nothing is lost; live sources
through queues in which the latest value wins. One thread per source, per drawing and per sink,
and one for the session (``inference``). What belongs to one source is its channel (``channel``):
capture (``capture``), drawing (``drawing``), sinks (``sink_worker``).

A sink that fails ends alone. A source that fails, whose frames the session or the drawing cannot
take, or whose last sink fails, ends alone. What is left goes on, and the failures are problems of
the report; when nothing is left, the last of them is raised. A session that is broken ends all, one
by one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace

from pipeline.errors import log_failure
from pipeline.progress import frame_bar
from pipeline.runtimes.session import Session
from pipeline.stream.channel import Channel, ChannelContext
from pipeline.stream.inference import Inference
from pipeline.stream.inputs import StreamInput, StreamOptions
from pipeline.stream.report import StreamReport, total
from pipeline.stream.sinks.base import Sink
from pipeline.stream.sources.base import Source
from pipeline.stream.thread_group import ThreadGroup


def run(
    session: Session, source: Source, sinks: Sequence[Sink], options: StreamOptions | None = None
) -> StreamReport:
    """Segment one source; see ``run_inputs``."""
    return run_inputs(session, [StreamInput(source, sinks)], options)


def run_inputs(
    session: Session, inputs: Sequence[StreamInput], options: StreamOptions | None = None
) -> StreamReport:
    """Segment sources until they end, the limit is reached or ``options.stop`` is set.

    The sources and the sinks are closed, whatever happens; the session stays open.

    Args:
        session: one for all; it gets several frames at once where it takes them.
        inputs: sources with their own sinks; each gets its share of the session.
        options: how to run.

    Raises:
        SourceError, SinkError: nothing was left that could go on; what ended the last part.
        EngineError: the session failed. All is stopped within two seconds, and what the sinks took
            until then is finished.
    """
    return _Stream(session, inputs, options or StreamOptions()).run()


class _Stream:
    """One run."""

    def __init__(
        self, session: Session, inputs: Sequence[StreamInput], options: StreamOptions
    ) -> None:
        if not inputs:
            raise ValueError("a stream needs at least one source")
        if options.frames is not None and options.frames < 1:
            raise ValueError(f"frames is {options.frames}; at least one frame must be asked for")
        self._options = options
        self._threads = ThreadGroup()
        wake_up = threading.Event()
        # A session that takes many frames of a file at once must find them waiting.
        at_once = (session.input_spec.shape[0] or 1) * session.capabilities.in_flight
        depth = max(options.depth, at_once)
        options = replace(options, depth=depth)
        context = ChannelContext(self._threads, wake_up, self._channel_failed)
        numbers = [f"-{place}" if len(inputs) > 1 else "" for place in range(1, len(inputs) + 1)]
        self._channels = [
            Channel(stream_input, options, context, number)
            for stream_input, number in zip(inputs, numbers, strict=True)
        ]
        self._inference = Inference(session, self._channels, wake_up, self._threads.failed)
        self._failed = 0
        self._lock = threading.Lock()

    def run(self) -> StreamReport:
        started = time.monotonic()
        for channel in self._channels:
            channel.start()
        self._threads.start("infer", self._inference.run)
        with frame_bar(self._expected(), self._options.progress) as show:

            def tick() -> None:
                for channel in self._channels:
                    channel.look_after()
                show(sum(channel.counter.shown for channel in self._channels), self._words())

            self._threads.wait(tick)
            tick()
        return self._report(time.monotonic() - started)

    def _channel_failed(self, error: BaseException) -> None:
        """Go on without it; when none is left, end with its error."""
        with self._lock:
            self._failed += 1
            is_last = self._failed == len(self._channels)
        if is_last:
            self._threads.fail(error)
        else:
            log_failure(error)

    def _expected(self) -> int | None:
        """Frames that will be shown, None where nobody knows."""
        if self._options.frames is not None:
            return self._options.frames * len(self._channels)
        return total([channel.measured() for channel in self._channels]).promised

    def _words(self) -> str:
        """Rate and frame age for the progress bar."""
        rates = [channel.counter.recent_rate.per_second for channel in self._channels]
        ages = [channel.counter.recent_frame_age.summary()["p50"] for channel in self._channels]
        known = [age for age in ages if age is not None]
        if not known or not any(rates):
            return ""
        dropped = sum(channel.dropped for channel in self._channels)
        rate = sum(rate for rate in rates if rate is not None)
        return f"{rate:.1f} fps, age {max(known):.0f} ms, {dropped} dropped"

    def _report(self, seconds: float) -> StreamReport:
        return StreamReport(
            **total([channel.measured() for channel in self._channels]).figures(),
            seconds=round(seconds, 3),
            stopped=any(channel.stopped for channel in self._channels),
            sources=tuple(channel.report() for channel in self._channels),
        )
