"""From sources through one session to sinks, in threads that hand over and never pile up.

::

    capture ->         -> draw -> sink
                                -> sink
               infer
    capture ->         -> draw -> sink

Each arrow is a bounded hand-over. Files go through queues in which nothing is lost; live sources
through mailboxes in which the newest frame wins. One thread per source, per drawing and per sink,
and one for the session (``inference``). What belongs to one source is its lane (``lane``): capture
(``intake``), drawing (``drawing``), sinks (``outlet``).

A sink that fails ends alone. A source that fails, or whose last sink fails, ends alone. What is
left goes on, and the failures are problems of the report; when nothing is left, the last of them
is raised. A failure of the session, or of our own, ends everything.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace

from pipeline.failures import log_failure
from pipeline.progress import frame_bar
from pipeline.report import StreamReport, total
from pipeline.sessions.base import Session
from pipeline.sinks.base import Sink
from pipeline.sources.base import Source
from pipeline.stream.crew import Crew
from pipeline.stream.feed import Feed, StreamOptions
from pipeline.stream.inference import Inference
from pipeline.stream.lane import Lane, Team


def run(
    session: Session, source: Source, sinks: Sequence[Sink], options: StreamOptions | None = None
) -> StreamReport:
    """Segment one source; see ``run_feeds``."""
    return run_feeds(session, [Feed(source, sinks)], options)


def run_feeds(
    session: Session, feeds: Sequence[Feed], options: StreamOptions | None = None
) -> StreamReport:
    """Segment sources until they end, the limit is reached or ``options.stop`` is set.

    The sources and the sinks are closed, whatever happens; the session stays open.

    Args:
        session: one for all; it gets several frames at once where it takes them.
        feeds: sources with their own sinks; each gets its share of the session.
        options: how to run.

    Raises:
        SourceError, SinkError: nothing was left that could go on; what ended the last part.
        EngineError: the session failed. All is stopped within two seconds, and what the sinks took
            until then is finished.
    """
    return _Stream(session, feeds, options or StreamOptions()).run()


class _Stream:
    """One run."""

    def __init__(self, session: Session, feeds: Sequence[Feed], options: StreamOptions) -> None:
        if not feeds:
            raise ValueError("a stream needs at least one source")
        if options.frames is not None and options.frames < 1:
            raise ValueError(f"frames is {options.frames}; at least one frame must be asked for")
        self._options = options
        self._crew = Crew()
        bell = threading.Event()
        # A session that takes many frames of a file at once must find them waiting.
        at_once = (session.input_spec.shape[0] or 1) * session.capabilities.in_flight
        depth = max(options.depth, at_once)
        options = replace(options, depth=depth)
        team = Team(self._crew, bell, self._lane_failed)
        numbers = [f"-{place}" if len(feeds) > 1 else "" for place in range(1, len(feeds) + 1)]
        self._lanes = [
            Lane(feed, options, team, number) for feed, number in zip(feeds, numbers, strict=True)
        ]
        self._inference = Inference(session, self._lanes, bell, self._crew.failed)
        self._failed = 0
        self._lock = threading.Lock()

    def run(self) -> StreamReport:
        started = time.monotonic()
        for lane in self._lanes:
            lane.start()
        self._crew.start("infer", self._inference.run)
        with frame_bar(self._expected(), self._options.progress) as show:

            def tick() -> None:
                for lane in self._lanes:
                    lane.look_after()
                show(sum(lane.delivery.shown for lane in self._lanes), self._words())

            self._crew.wait(tick)
            tick()
        return self._report(time.monotonic() - started)

    def _lane_failed(self, error: BaseException) -> None:
        """Go on without it; when none is left, end with its error."""
        with self._lock:
            self._failed += 1
            is_last = self._failed == len(self._lanes)
        if is_last:
            self._crew.fail(error)
        else:
            log_failure(error)

    def _expected(self) -> int | None:
        """Frames that will be shown, None where nobody knows."""
        if self._options.frames is not None:
            return self._options.frames * len(self._lanes)
        return total([lane.measured() for lane in self._lanes]).promised

    def _words(self) -> str:
        """Rate and frame age for the progress bar."""
        rates = [lane.delivery.recent_rate.per_second for lane in self._lanes]
        ages = [lane.delivery.recent_frame_age.summary()["p50"] for lane in self._lanes]
        known = [age for age in ages if age is not None]
        if not known or not any(rates):
            return ""
        dropped = sum(lane.dropped for lane in self._lanes)
        rate = sum(rate for rate in rates if rate is not None)
        return f"{rate:.1f} fps, age {max(known):.0f} ms, {dropped} dropped"

    def _report(self, seconds: float) -> StreamReport:
        return StreamReport(
            **total([lane.measured() for lane in self._lanes]).figures(),
            seconds=round(seconds, 3),
            stopped=any(lane.stopped for lane in self._lanes),
            sources=tuple(lane.report() for lane in self._lanes),
        )
