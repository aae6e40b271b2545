"""From a source through a session to sinks, in threads that hand over and never pile up.

::

    capture -> infer -> draw -> sink
                             -> sink

Each arrow is a bounded hand-over. Files go through queues in which nothing is lost; live sources
through mailboxes in which the newest frame wins. One thread per stage and per sink.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from models.classes import CAMVID, ClassSet
from pipeline.crew import Crew
from pipeline.delivery import Delivery
from pipeline.frame import Frame, Result
from pipeline.mailbox import HandOver, LosslessQueue, Mailbox
from pipeline.overlay import Overlay, OverlayOptions, class_shares
from pipeline.progress import frame_bar
from pipeline.report import SinkReport, StreamReport
from pipeline.sessions.base import Session
from pipeline.sinks.base import Sink
from pipeline.sources.base import Source
from pipeline.timing import StageTimes, Times

__all__ = ["StreamOptions", "StreamReport", "run"]


@dataclass(frozen=True)
class StreamOptions:
    """How a stream runs.

    Attributes:
        classes: names and palette of the session's class maps.
        frames: end after as many shown frames; None for the whole source.
        overlay: how drawn frames look.
        depth: frames that may wait between two stages of a file; a live source has one.
        progress: show a bar on standard error.
        stop: setting it ends the stream, with everything finished that was captured.
    """

    classes: ClassSet = CAMVID
    frames: int | None = None
    overlay: OverlayOptions = field(default_factory=OverlayOptions)
    depth: int = 2
    progress: bool = False
    stop: threading.Event = field(default_factory=threading.Event)


def run(
    session: Session, source: Source, sinks: Sequence[Sink], options: StreamOptions | None = None
) -> StreamReport:
    """Segment a source until it ends, the limit is reached or ``options.stop`` is set.

    The source and the sinks are closed, whatever happens; the session stays open.

    Raises:
        SourceError, SinkError, EngineError: the first cause, when a stage failed; all others are
            stopped within two seconds, and what the sinks took until then is finished.
    """
    return _Stream(session, source, sinks, options or StreamOptions()).run()


class _Stream:
    """One run; the methods that begin with a stage's name are its thread."""

    def __init__(
        self, session: Session, source: Source, sinks: Sequence[Sink], options: StreamOptions
    ) -> None:
        if not sinks:
            raise ValueError("a stream needs at least one sink; pass a NoneSink")
        if options.frames is not None and options.frames < 1:
            raise ValueError(f"frames is {options.frames}; at least one frame must be asked for")
        self._session = session
        self._source = source
        self._sinks = sinks
        self._options = options
        self._crew = Crew()
        self._delivery = Delivery(len(sinks), options.frames, self._crew.failed)
        self._captured: HandOver[Frame] = self._hand_over()
        self._segmented: HandOver[Result] = self._hand_over(
            on_drop=lambda result: self._delivery.miss(result.frame)
        )
        self._drawn: list[HandOver[Result]] = [
            self._hand_over(on_drop=lambda result: self._delivery.settle(result.frame, False))
            for _ in sinks
        ]
        self._stages = StageTimes()
        self._result_age = Times()
        self._read = 0
        self._stopped = False

    def _hand_over(self, **arguments: Any) -> HandOver[Any]:
        if self._source.live:
            return Mailbox(self._crew.failed, **arguments)
        return LosslessQueue(self._crew.failed, self._options.depth, **arguments)

    def run(self) -> StreamReport:
        started = time.monotonic()
        for stage in ("capture", "infer"):
            self._stages.of(stage)  # listed in this order, whichever ends first
        self._crew.start("capture", self._capture)
        self._crew.start("infer", self._infer)
        self._crew.start("draw", self._draw)
        for sink, inbox, stage in zip(self._sinks, self._drawn, self._sink_stages(), strict=True):
            self._crew.start(stage, partial(self._sink, sink, inbox, stage))
        total = self._options.frames or self._source.promised
        with frame_bar(total, self._options.progress) as show:
            self._crew.wait(lambda: show(self._delivery.shown, self._words()))
            show(self._delivery.shown, self._words())
        return self._report(time.monotonic() - started)

    def _capture(self) -> None:
        try:
            with self._source:
                while self._wants_more():
                    began = time.monotonic()
                    frame = self._source.read()
                    if frame is None:
                        break
                    self._stages.of("capture").add(time.monotonic() - began)
                    self._read += 1
                    if not self._captured.put(frame):
                        break
        finally:
            self._captured.close()

    def _wants_more(self) -> bool:
        if self._options.stop.is_set():
            self._stopped = True
            return False
        # Of a live source more may be needed, since some are dropped; inference decides there.
        enough = self._options.frames is not None and self._read >= self._options.frames
        return self._source.live or not enough

    def _infer(self) -> None:
        frames = iter(self._captured)
        while self._delivery.admit() and (frame := next(frames, None)) is not None:
            with self._stages.measure("infer"):
                classes = self._session.run(frame.image[None])[0]
            finished = time.monotonic()
            self._result_age.add(finished - frame.captured)
            self._segmented.put(Result(frame, classes, finished))
        self._captured.cancel()
        self._segmented.close()

    def _draw(self) -> None:
        draws = any(sink.wants_overlay for sink in self._sinks)
        overlay = Overlay(self._options.classes, self._options.overlay) if draws else None
        counts = draws or any(sink.wants_shares for sink in self._sinks)
        for result in self._segmented:
            if counts:
                with self._stages.measure("draw"):
                    result = self._dressed(result, overlay)
            for inbox in self._drawn:
                inbox.put(result)
        for inbox in self._drawn:
            inbox.close()

    def _dressed(self, result: Result, overlay: Overlay | None) -> Result:
        """Result with its shares, and with a picture where a sink wants one."""
        frame, classes = result.frame, result.classes
        shares = class_shares(classes, len(self._options.classes))
        if overlay is None:
            return replace(result, shares=shares)
        drawn = overlay.draw(frame.image, classes, shares, self._status(frame))
        return replace(result, shares=shares, overlay=drawn)

    def _status(self, frame: Frame) -> str:
        """Frame rate so far and the age of this frame, as text for the picture."""
        rate = self._delivery.recent_rate.per_second
        age = (time.monotonic() - frame.captured) * 1e3
        return f"{'--' if rate is None else f'{rate:.1f}'} fps   age {age:.0f} ms"

    def _sink(self, sink: Sink, inbox: HandOver[Result], stage: str) -> None:
        with sink:
            for result in inbox:
                with self._stages.measure(stage):
                    sink.write(result)
                self._delivery.settle(result.frame, shown=True)

    def _sink_stages(self) -> list[str]:
        """Return names of sinks among the stages; numbered where two are of one kind."""
        kinds = [sink.name for sink in self._sinks]
        return [
            kind if kinds.count(kind) == 1 else f"{kind}-{kinds[: place + 1].count(kind)}"
            for place, kind in enumerate(kinds)
        ]

    def _words(self) -> str:
        """Rate and frame age for the progress bar."""
        rate = self._delivery.recent_rate.per_second
        age = self._delivery.frame_age.percentile_ms(50)
        if rate is None or age is None:
            return ""
        return f"{rate:.1f} fps, age {age:.0f} ms, {self._dropped()} dropped"

    def _dropped(self) -> int:
        return self._captured.dropped + self._delivery.missed

    def _report(self, seconds: float) -> StreamReport:
        delivery, rate = self._delivery, self._delivery.rate.per_second
        sinks = tuple(
            SinkReport(stage, str(sink.output) if sink.output else None, sink.written, box.dropped)
            for sink, box, stage in zip(self._sinks, self._drawn, self._sink_stages(), strict=True)
        )
        return StreamReport(
            frames=delivery.shown,
            dropped=self._dropped(),
            read=self._read,
            promised=self._source.promised,
            skipped=self._source.skipped,
            seconds=round(seconds, 3),
            fps=None if rate is None else round(rate, 3),
            frame_age_ms=delivery.frame_age.summary(),
            result_age_ms=self._result_age.summary(),
            stages_ms=self._stages.summary(),
            sinks=sinks,
            problems=tuple(self._source.problems),
            stopped=self._stopped,
        )
