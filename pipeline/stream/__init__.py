"""Frames from sources through a session to sinks; ``runner`` draws the whole of it."""

from pipeline.report import StreamReport
from pipeline.stream.feed import Feed, StreamOptions
from pipeline.stream.runner import run, run_feeds

__all__ = ["Feed", "StreamOptions", "StreamReport", "run", "run_feeds"]
