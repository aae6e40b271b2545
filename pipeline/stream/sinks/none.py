"""A sink that discards all results, for measuring."""

from __future__ import annotations

from pipeline.stream.frame import Result
from pipeline.stream.sinks.base import Sink, SinkOptions


def matches(text: str) -> bool:
    """The word ``none``."""
    return text == "none"


def open_none(_text: str, _options: SinkOptions) -> Sink:
    return NoneSink()


class NoneSink(Sink):
    """Only counts results."""

    def __init__(self) -> None:
        super().__init__("none")

    def _write(self, result: Result) -> None:
        return
