"""What builds and runs engines: one folder per runtime, behind a compiler and a session."""

from pipeline.runtimes.registry import open_compiler, open_engine, open_session
from pipeline.runtimes.session import Session

__all__ = ["Session", "open_compiler", "open_engine", "open_session"]
