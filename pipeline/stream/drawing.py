"""Results brought into the form that sinks ask for: shares of classes, and a drawn picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pipeline.frame import Result
from pipeline.runtimes.session import Tint
from pipeline.stream.inputs import StreamOptions
from pipeline.stream.marks import draw_marks
from pipeline.stream.overlay import Overlay, class_shares
from pipeline.stream.sinks.base import Sink
from pipeline.stream.timing import StageTimes


class Drawing:
    """Draws what at least one sink wants, and nothing otherwise.

    Args:
        sinks: asked for ``wants_overlay`` and ``wants_shares``.
        options: classes and looks.
        stages: timed here as ``draw``, where there is something to do.
    """

    def __init__(self, sinks: Sequence[Sink], options: StreamOptions, stages: StageTimes) -> None:
        draws = any(sink.wants_overlay for sink in sinks)
        self._overlay = Overlay(options.classes, options.overlay) if draws else None
        self._observers = [sink for sink in sinks if sink.observes]
        self._counts = draws or any(sink.wants_shares for sink in sinks)
        self._classes = len(options.classes)
        self._stages = stages
        #: What a session that paints is to blend; None where nobody looks, or where class maps
        #: change after it.
        self.tint: Tint | None = None
        if self._overlay is not None and not options.smooth:
            self.tint = self._overlay.tint

    def dressed(self, result: Result, status: str) -> Result:
        """Return the result with its shares, and with a picture where a sink wants one."""
        if self._observers:
            marks = tuple(mark for sink in self._observers for mark in sink.observe(result))
            result = replace(result, marks=marks)
        if not self._counts:
            return result
        with self._stages.measure("draw", result.frame.index):
            shares = class_shares(result.classes, self._classes)
            if self._overlay is None:
                return replace(result, shares=shares)
            if result.blended is not None:
                drawn = self._overlay.finish(result.blended, shares, status)
            else:
                drawn = self._overlay.draw(result.frame.image, result.classes, shares, status)
            draw_marks(drawn, result.marks)
            return replace(result, shares=shares, overlay=drawn, blended=None)
