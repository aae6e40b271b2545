"""What a build reports to; in its own file, so that commands can import it without the build."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from pipeline.progress import Progress


@dataclass(frozen=True)
class Hooks:
    """What a build calls while it runs.

    Attributes:
        say: given single lines for the user.
        progress: opens a progress bar or the like.
        before: called before a build begins; not where an engine is reused.
    """

    say: Callable[[str], None]
    progress: Callable[[], AbstractContextManager[Progress]]
    before: Callable[[], None] = lambda: None
