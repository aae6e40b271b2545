"""Adds to results what sinks ask for: class shares, zone marks and a drawn picture."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from pipeline.runtimes.session import Tint
from pipeline.stream.frame import Frame, Result
from pipeline.stream.inputs import StreamOptions
from pipeline.stream.marks import draw_marks
from pipeline.stream.overlay import Overlay, class_shares
from pipeline.stream.sinks.base import Sink
from pipeline.stream.timing import StageTimes


def status_text(rate: float | None, frame: Frame) -> str:
    """Frame rate and present age of a frame, as text for the picture."""
    age = (time.monotonic() - frame.captured) * 1e3
    return f"{'--' if rate is None else f'{rate:.1f}'} fps   age {age:.0f} ms"


class Drawing:
    """Draws only if a sink wants it.

    Args:
        sinks: asked for ``wants_overlay`` and ``wants_shares``.
        options: classes and overlay options.
        stages: times the work as ``draw``.

    Attributes:
        tint: colours for a session that can blend them itself; None where no sink shows the
            picture, or where smoothing changes the class maps afterwards.
    """

    def __init__(self, sinks: Sequence[Sink], options: StreamOptions, stages: StageTimes) -> None:
        draws = any(sink.wants_overlay for sink in sinks)
        self._overlay = Overlay(options.classes, options.overlay) if draws else None
        self._observers = [sink for sink in sinks if sink.observes]
        self._classes = len(options.classes)
        self._counts = draws or any(sink.wants_shares for sink in sinks)
        self._stages = stages
        self.tint: Tint | None = None
        if self._overlay is not None and not options.smooth:
            self.tint = self._overlay.tint

    def drawn(self, result: Result, rate: float | None) -> Result:
        """Return the result with what sinks ask for.

        ``rate`` is in frames per second, for the picture's status line.
        """
        if self._observers:
            marks = tuple(mark for sink in self._observers for mark in sink.observe(result))
            result = replace(result, marks=marks)
        if not self._counts:
            return result
        with self._stages.measure("draw", result.frame.index):
            shares = class_shares(result.classes, self._classes)
            if self._overlay is None:
                return replace(result, shares=shares)
            status = status_text(rate, result.frame)
            if result.blended is not None:
                drawn = self._overlay.finish(result.blended, shares, status)
            else:
                drawn = self._overlay.draw(result.frame.image, result.classes, shares, status)
            draw_marks(drawn, result.marks)
            return replace(result, shares=shares, overlay=drawn, blended=None)
