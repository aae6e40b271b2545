"""A sink that takes everything and keeps nothing: for measuring."""

from __future__ import annotations

from pipeline.frame import Result
from pipeline.stream.sinks.base import Sink, SinkOptions


def matches(text: str) -> bool:
    """The word ``none``."""
    return text == "none"


def open_none(_text: str, _options: SinkOptions) -> Sink:
    """Return a sink that needs no place."""
    return NoneSink()


class NoneSink(Sink):
    """Counts results."""

    def __init__(self) -> None:
        super().__init__("none")

    def _write(self, result: Result) -> None:
        return
