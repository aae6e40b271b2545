"""The result of a command, and its progress bars."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from pipeline.build.hooks import Hooks

T = TypeVar("T")


@dataclass(frozen=True)
class Outcome:
    """What to print, and the exit status.

    Attributes:
        document: for ``--json``.
        text: for people.
        problems: one line each; printed as errors, and the exit status is 1 if there are any.
        status: exit status if there are no problems; not 0 if a signal ended the work early.
    """

    document: dict[str, Any]
    text: str
    problems: tuple[str, ...] = ()
    status: int = 0


def is_quiet(options: argparse.Namespace) -> bool:
    """Whether only errors go to standard error: with ``--json`` or ``--quiet``."""
    return bool(options.json or options.quiet)


def hooks_of(options: argparse.Namespace, before: Callable[[], None] = lambda: None) -> Hooks:
    """Return hooks that show a build on standard error, unless :func:`is_quiet`.

    Args:
        options: of the command.
        before: called before something is built.
    """
    quiet = is_quiet(options)

    def say(line: str) -> None:
        if not quiet:
            print(line, file=sys.stderr, flush=True)

    return Hooks(say, lambda: step_bar(quiet), before)


@contextmanager
def step_bar(quiet: bool) -> Iterator[Any]:
    """Yield a function (what is done, share 0..1) that moves a bar on standard error.

    Into a file or pipe it prints one line for each stage: the text before the first comma.
    """
    if not (quiet or sys.stderr.isatty()):
        last = ""

        def show_stage(what: str, _share: float) -> None:
            nonlocal last
            stage = what.partition(",")[0]
            if stage != last:
                print(stage, file=sys.stderr, flush=True)
            last = stage

        yield show_stage
        return
    from tqdm import tqdm  # imported here, so that cameras start sooner

    with tqdm(
        total=100,
        file=sys.stderr,
        disable=quiet,
        bar_format="{desc:<26}{percentage:3.0f}% |{bar:30}| {elapsed}",
    ) as bar:

        def progress(what: str, share: float) -> None:
            bar.set_description_str(what, refresh=False)
            bar.n = round(100 * share)
            bar.refresh()

        yield progress


def counted(items: Iterable[T], what: str, total: int, quiet: bool) -> Iterable[T]:
    """Show a bar on standard error while iterating; into a file or pipe it prints one line."""
    if not (quiet or sys.stderr.isatty()):
        print(f"{what} {total} frames", file=sys.stderr, flush=True)
        return items
    from tqdm import tqdm

    bar: Iterable[T] = tqdm(
        items, desc=what, total=total, unit="frame", file=sys.stderr, disable=quiet, leave=False
    )
    return bar


def percent(share: float | None) -> str:
    """Write a share as percent, or a dash for None."""
    return "    -" if share is None else f"{100 * share:5.1f}"
