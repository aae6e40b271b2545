"""From sources through one session to sinks: threads that pass frames on through bounded queues.

::

    capture ->         -> draw -> sink
                                -> sink
               infer
    capture ->         -> draw -> sink

Each arrow is a bounded frame queue: files use lossless queues, live sources latest-value queues.
Every source has a thread for capture, one for drawing and one per sink; together they are its
channel (``channel``). One more thread runs the session for all channels (``inference``).

A sink that fails ends alone. A channel ends alone when its source or its last sink fails, or when
the session or the drawing fails on its frames. The others go on, and the report lists the failures
as problems. When no channel is left, the last failure is raised. A broken session fails on every
channel's frames, so all channels end, one after the other.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace

from pipeline.errors import log_failure
from pipeline.progress import frame_bar
from pipeline.runtimes.session import Session
from pipeline.stream.channel import Channel
from pipeline.stream.inference import Inference
from pipeline.stream.inputs import StreamInput, StreamOptions
from pipeline.stream.report import Measured, StreamReport, total
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

    Sources and sinks are closed in any case; the session stays open.

    Args:
        session: shared by all sources; it gets several frames at once if it takes batches.
        inputs: sources with their own sinks; the sources take turns.
        options: how to run.

    Raises:
        SourceError, SinkError: no source is left; this is the failure that ended the last one.
        EngineError: the session failed. All threads stop within two seconds, and the sinks finish
            what they took until then.
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
        # The queues of a file must hold as many frames as the session takes at once.
        at_once = (session.input_spec.shape[0] or 1) * session.capabilities.in_flight
        options = replace(options, depth=max(options.depth, at_once))
        self._channels = [
            Channel(
                stream_input,
                options,
                self._threads,
                wake_up,
                self._channel_failed,
                f"-{number}" if len(inputs) > 1 else "",
            )
            for number, stream_input in enumerate(inputs, 1)
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
                show(sum(one.figures.counter.shown for one in self._channels), self._words())

            self._threads.wait(tick)
            tick()
        return self._report(time.monotonic() - started)

    def _channel_failed(self, error: BaseException) -> None:
        """Go on with the other channels; when none is left, end with this error."""
        with self._lock:
            self._failed += 1
            is_last = self._failed == len(self._channels)
        if is_last:
            self._threads.fail(error)
        else:
            log_failure(error)

    def _expected(self) -> int | None:
        """Frames that will be shown; None where that is not known."""
        if self._options.frames is not None:
            return self._options.frames * len(self._channels)
        return self._total().promised

    def _words(self) -> str:
        """Rate and frame age for the progress bar."""
        counters = [channel.figures.counter for channel in self._channels]
        rates = [counter.recent_rate.per_second for counter in counters]
        ages = [counter.recent_frame_age.summary()["p50"] for counter in counters]
        known = [age for age in ages if age is not None]
        if not known or not any(rates):
            return ""
        dropped = sum(channel.figures.dropped for channel in self._channels)
        rate = sum(rate for rate in rates if rate is not None)
        return f"{rate:.1f} fps, age {max(known):.0f} ms, {dropped} dropped"

    def _total(self) -> Measured:
        return total([channel.figures.measured() for channel in self._channels])

    def _report(self, seconds: float) -> StreamReport:
        has_limit = self._options.frames is not None
        return StreamReport(
            **self._total().figures(),
            seconds=round(seconds, 3),
            stopped=any(channel.figures.stopped for channel in self._channels),
            sources=tuple(channel.figures.report(has_limit) for channel in self._channels),
        )
