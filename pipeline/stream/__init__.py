"""Frames from sources through a session to sinks; ``runner`` draws the whole of it."""

from pipeline.stream.inputs import StreamInput, StreamOptions
from pipeline.stream.report import StreamReport
from pipeline.stream.runner import run, run_inputs

__all__ = ["StreamInput", "StreamOptions", "StreamReport", "run", "run_inputs"]
