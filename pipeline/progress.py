"""How far a long task is: told to whoever asks, and as a bar on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Called with (what is being done, share done 0..1) during long steps.
Progress = Callable[[str, float], None]


@contextmanager
def frame_bar(total: int | None, enabled: bool) -> Iterator[Callable[[int, str], None]]:
    """Yield a function that takes the number of frames done and a few words beside it.

    Args:
        total: frames expected, None when nobody knows.
        enabled: without, the function does nothing.
    """
    if not enabled:
        yield lambda _done, _words: None
        return
    from tqdm import tqdm  # only where somebody looks

    with tqdm(total=total, unit="frame", dynamic_ncols=True, mininterval=0.2) as bar:

        def show(done: int, words: str) -> None:
            bar.set_postfix_str(words, refresh=False)
            bar.update(done - bar.n)

        yield show


@contextmanager
def step_bar(done: int, total: int, enabled: bool) -> Iterator[Callable[[int, str], None]]:
    """Yield a function that takes the number of steps done and a few words beside the time left.

    Args:
        done: steps that an earlier part of the run did; they do not count for the rate.
        total: steps of the whole run.
        enabled: without, the function does nothing.
    """
    if not enabled:
        yield lambda _done, _words: None
        return
    from tqdm import tqdm  # only where somebody looks

    with tqdm(
        total=total, initial=done, unit="step", dynamic_ncols=True, mininterval=0.5, smoothing=0.1
    ) as bar:

        def show(steps: int, words: str) -> None:
            bar.set_postfix_str(words, refresh=False)
            if not bar.update(steps - bar.n):
                bar.refresh()

        yield show
