"""Errors about engines and streams; all are subclasses of ``models.errors.RoadsegError``.

::

    RoadsegError
    ├── EngineError           an engine or manifest that is missing, damaged or not for this machine
    │   └── IncompatibleEngineError   not for this machine: it can be built again here
    ├── BuildError            a network that a compiler could not turn into an engine
    │   └── AccuracyError     an INT8 engine that would lose more than it may
    ├── RuntimeMissingError   a runtime or package that this machine does not have
    ├── SourceError           frames that cannot be read
    ├── SinkError             results that cannot be written
    └── TrainingError         a run that cannot continue
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from models.errors import (
    ModelError,
    OutputError,
    RoadsegError,
    SizeError,
    WeightsError,
    reason_of,
    translated,
)

__all__ = [
    "AccuracyError",
    "BuildError",
    "EngineError",
    "IncompatibleEngineError",
    "ModelError",
    "OutputError",
    "RoadsegError",
    "RuntimeMissingError",
    "SinkError",
    "SizeError",
    "SourceError",
    "TrainingError",
    "WeightsError",
    "in_words",
    "log_failure",
    "printable",
    "reason_of",
    "translated",
    "unwritable",
]

log = logging.getLogger(__name__)


class EngineError(RoadsegError):
    """An engine or its manifest is missing, damaged, or was built for something else."""


class IncompatibleEngineError(EngineError):
    """An engine was built for another machine; building it again on this one helps."""


class BuildError(RoadsegError):
    """A compiler refused the network; the message names the operator or layer."""


class AccuracyError(BuildError):
    """An engine would lose more accuracy than its budget allows.

    Args:
        message: what was reached and what was expected, in one line.
        attempts: what was tried, in its order; each with ``method``, ``high_precision`` (layers),
            ``pixel_agreement`` and ``miou_drop`` (shares; the last None without labels).
    """

    def __init__(self, message: str, attempts: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(message)
        self.attempts = tuple(attempts)


class RuntimeMissingError(RoadsegError):
    """A runtime is not installed or cannot work here; the message says what to install."""


class SourceError(RoadsegError):
    """A source cannot be opened, or stopped delivering frames before its end."""


class SinkError(RoadsegError):
    """A sink cannot be opened or written."""


class TrainingError(RoadsegError):
    """A training run cannot continue, or would replace another; its checkpoint is unchanged."""


@contextmanager
def unwritable(path: Path, remedy: str) -> Iterator[None]:
    """Turn the system's errors in the block into an ``OutputError``: ``path`` cannot be written."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"{path} cannot be written ({reason}); {remedy}") from error


def printable(text: str) -> str:
    """Escape everything but printable characters, line ends and tabs, as Python would.

    Names of files, classes and tensors come from outside, and could hold control characters that
    change the terminal.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in "\n\t" else ascii(one)[1:-1] for one in text)


def in_words(error: BaseException) -> str:
    """Describe an error in one line, with its type if it is not a RoadsegError."""
    text = " ".join(str(error).split())
    return text if isinstance(error, RoadsegError) else f"{type(error).__name__}: {text}"


def log_failure(error: BaseException) -> None:
    """Log an error; one that is not a RoadsegError, which is a bug, with its traceback."""
    unexpected = None if isinstance(error, RoadsegError) else error
    log.error("%s", in_words(error), exc_info=unexpected)
