"""What a build reports to; in a file of its own, since commands that rarely build import it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from pipeline.progress import Progress


@dataclass(frozen=True)
class Hooks:
    """What a build tells to whoever waits for it.

    Attributes:
        say: told single lines.
        progress: opens what shows how far the build is.
        before: called when it is clear that something has to be built.
    """

    say: Callable[[str], None]
    progress: Callable[[], AbstractContextManager[Progress]]
    before: Callable[[], None] = lambda: None
