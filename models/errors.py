"""Errors that a user can cause while choosing a network or its weights.

Every message says in one line what was given, what was expected, and what to do. The command line
prints it as ``error: ...`` and exits with status 1.

::

    RoadsegError
    ├── ModelError            models/       an unknown network or variant
    ├── WeightsError          models/       weights that are damaged or belong to another network
    ├── SizeError             models/       a picture size that a network cannot take
    ├── OutputError           models/       a folder or file of outputs that must not be written
    ├── DataError             calibration/  pictures, labels, class files
    ├── CalibrationError      calibration/  frames, ranges or a table for INT8
    └── (pipeline/errors.py)  pipeline/     engines, runtimes, sources, sinks, outputs
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

#: Characters of a library's reason in a line of ours.
_LONGEST_REASON = 200


class RoadsegError(Exception):
    """Base of all errors that a user can cause."""


class ModelError(RoadsegError):
    """A network that does not exist, or a variant it does not have."""


class WeightsError(RoadsegError):
    """Weights that cannot be read, are damaged, or belong to another network."""


class SizeError(RoadsegError):
    """A width or height that the network cannot work on."""


class OutputError(RoadsegError):
    """An output would overwrite a file that is not ours, or its place is not writable."""


@contextmanager
def translated(kind: type[RoadsegError], problem: str, remedy: str) -> Iterator[None]:
    """Turn any error that a library raises for a damaged file into a ``kind`` of RoadsegError.

    Libraries raise all sorts of errors for damaged input, such as ``KeyError`` or
    ``RecursionError``. A RoadsegError passes unchanged.

    Args:
        kind: of the error.
        problem: what cannot be done, without a full stop.
        remedy: what to do.
    """
    try:
        yield
    except RoadsegError:
        raise
    except Exception as error:
        raise kind(f"{problem} ({reason_of(error)}); {remedy}") from error


def reason_of(error: BaseException) -> str:
    """Return type and first line of a library's error, shortened to fit into a message."""
    lines = str(error).strip().splitlines()
    text = f"{type(error).__name__}: {lines[0].strip()}" if lines else type(error).__name__
    return text if len(text) <= _LONGEST_REASON else f"{text[: _LONGEST_REASON - 3]}..."
