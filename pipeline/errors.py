"""Errors about engines and streams; the whole tree hangs on ``models.errors.RoadsegError``.

::

    RoadsegError
    ├── BenchmarkError        figures that cannot be measured, read or compared
    ├── EngineError           an engine or manifest that is missing, damaged or not for this machine
    ├── BuildError            a network that a compiler could not turn into an engine
    │   └── AccuracyError     an INT8 engine that would lose more than it may
    ├── RuntimeMissingError   a runtime or package that this machine does not have
    ├── SourceError           frames that cannot be read
    ├── SinkError             results that cannot be written
    ├── OutputError           a folder or file of outputs that must not or cannot be written
    └── TrainingError         a run that cannot go on
"""

from __future__ import annotations

from models.errors import ModelError, RoadsegError, SizeError, WeightsError

__all__ = [
    "AccuracyError",
    "BenchmarkError",
    "BuildError",
    "EngineError",
    "ModelError",
    "OutputError",
    "RoadsegError",
    "RuntimeMissingError",
    "SinkError",
    "SizeError",
    "SourceError",
    "TrainingError",
    "WeightsError",
]


class BenchmarkError(RoadsegError):
    """Figures cannot be measured here, or a file of them cannot be read."""


class EngineError(RoadsegError):
    """An engine or its manifest is missing, damaged, or was built for something else."""


class BuildError(RoadsegError):
    """A compiler refused the network; the message names the operator or layer."""


class AccuracyError(BuildError):
    """An engine would lose more accuracy than its budget allows.

    Args:
        message: what was reached and what was expected, in one line.
        attempts: table of what was tried, for people.
    """

    def __init__(self, message: str, attempts: str) -> None:
        super().__init__(message)
        self.attempts = attempts


class RuntimeMissingError(RoadsegError):
    """A runtime is not installed or cannot work here; the message says what to install."""


class SourceError(RoadsegError):
    """A source cannot be opened, or stopped delivering frames before its end."""


class SinkError(RoadsegError):
    """A sink cannot be opened or written."""


class OutputError(RoadsegError):
    """An output would overwrite a file that is not ours, or its place is not writable."""


class TrainingError(RoadsegError):
    """A training run cannot go on, or would replace another; its checkpoint is as it was."""
