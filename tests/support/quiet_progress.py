"""A progress function for builds that shows nothing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext


def quiet(what: str, share: float) -> None:
    """Take the progress that a build reports, and check that it keeps its promise."""
    assert 0.0 <= share <= 1.0, what


def quietly() -> AbstractContextManager[Callable[[str, float], None]]:
    """Open it in the form that ``Hooks`` expect."""
    return nullcontext(quiet)
