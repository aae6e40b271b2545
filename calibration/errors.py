"""Errors about road-scene data; the whole tree is drawn in ``models/errors.py``."""

from __future__ import annotations

from models.errors import RoadsegError


class DataError(RoadsegError):
    """Pictures, labels or a class file that cannot be used as given."""


class CalibrationError(RoadsegError):
    """Frames, ranges or a table that INT8 cannot be built with."""
