"""Failures that end a part of a stream while the rest goes on: said once, in one line."""

from __future__ import annotations

import logging

from models.errors import RoadsegError

log = logging.getLogger(__name__)


def in_words(error: BaseException) -> str:
    """Describe an error in one line, with its kind where it is not one of ours."""
    text = " ".join(str(error).split())
    return text if isinstance(error, RoadsegError) else f"{type(error).__name__}: {text}"


def log_failure(error: BaseException) -> None:
    """Log an error at once; a mistake of our own comes with its traceback."""
    unexpected = None if isinstance(error, RoadsegError) else error
    log.error("%s", in_words(error), exc_info=unexpected)
