"""What builds and runs engines: one folder per runtime, behind a compiler and a session."""

from pipeline.runtimes.registry import open_compiler, open_engine, open_session

__all__ = ["open_compiler", "open_engine", "open_session"]
