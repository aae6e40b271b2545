"""Errors that a user can cause while choosing a network or its weights.

Every message holds three things in one line: what was given, what was expected, what to do. The
command line prints it as ``error: ...`` and exits with status 1; nothing else is caught there.

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


class RoadsegError(Exception):
    """Root of everything this project raises for a user's mistake."""


class ModelError(RoadsegError):
    """A network that does not exist, or a variant it does not have."""


class WeightsError(RoadsegError):
    """Weights that cannot be read, are damaged, or belong to another network."""


class SizeError(RoadsegError):
    """A width or height that the network cannot work on."""


class OutputError(RoadsegError):
    """An output would overwrite a file that is not ours, or its place is not writable."""
