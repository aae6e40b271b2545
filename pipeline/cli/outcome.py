"""What a command leaves behind, and the bar it shows meanwhile."""

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
    """What to print, and whether something went wrong on the way.

    Attributes:
        document: for ``--json``.
        text: for people.
        problems: one line each; printed as errors, and the exit status is 1 if there are any.
        status: exit status where there are none; not 0 for what a signal cut short.
    """

    document: dict[str, Any]
    text: str
    problems: tuple[str, ...] = ()
    status: int = 0


def is_quiet(options: argparse.Namespace) -> bool:
    """Whether nothing but errors is to be told: to a program, or to nobody."""
    return bool(options.json or options.quiet)


def hooks_of(options: argparse.Namespace, before: Callable[[], None] = lambda: None) -> Hooks:
    """Return what shows a build on standard error, unless the user wants it quiet.

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

    Where nobody watches, as in a log, each stage is a line: what stands before a comma.
    """
    if not (quiet or sys.stderr.isatty()):
        yield _StageLines().show
        return
    from tqdm import tqdm  # only where somebody looks: cameras start sooner

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


class _StageLines:
    def __init__(self) -> None:
        self._last = ""

    def show(self, what: str, _share: float) -> None:
        stage = what.partition(",")[0]
        if stage != self._last:
            print(stage, file=sys.stderr, flush=True)
        self._last = stage


def counted(items: Iterable[T], what: str, total: int, quiet: bool) -> Iterable[T]:
    """Show a bar on standard error while ``items`` are gone through; in a log it is one line."""
    if not (quiet or sys.stderr.isatty()):
        print(f"{what} {total} frames", file=sys.stderr, flush=True)
        return items
    from tqdm import tqdm

    bar: Iterable[T] = tqdm(
        items, desc=what, total=total, unit="frame", file=sys.stderr, disable=quiet, leave=False
    )
    return bar


def percent(share: float | None) -> str:
    """Write a share of 1 as percent, a dash where there is none."""
    return "    -" if share is None else f"{100 * share:5.1f}"
