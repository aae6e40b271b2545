"""Progress of a long task: a callback, and bars on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

#: Called with (what is being done, share done 0..1) during long steps.
Progress = Callable[[str, float], None]


#: Called with the number of frames or steps done, and a few words to stand beside the bar.
Show = Callable[[int, str], None]


def frame_bar(total: int | None, enabled: bool) -> AbstractContextManager[Show]:
    """Show a bar of frames; ``total`` is None if their number is unknown."""
    return _bar(enabled, refresh=False, total=total, unit="frame", mininterval=0.2)


def step_bar(done: int, total: int, enabled: bool) -> AbstractContextManager[Show]:
    """Show a bar of training steps; those ``done`` before do not count for the rate."""
    settings = {"total": total, "initial": done, "unit": "step", "mininterval": 0.5}
    return _bar(enabled, refresh=True, smoothing=0.1, **settings)


@contextmanager
def _bar(enabled: bool, refresh: bool, **settings: Any) -> Iterator[Show]:
    """Yield what moves a bar; with ``refresh`` it also shows new words between two updates."""
    if not enabled:
        yield lambda _done, _words: None
        return
    from tqdm import tqdm  # imported here, so that streams without a bar start sooner

    with tqdm(dynamic_ncols=True, **settings) as bar:

        def show(done: int, words: str) -> None:
            bar.set_postfix_str(words, refresh=False)
            if not bar.update(done - bar.n) and refresh:
                bar.refresh()

        yield show
