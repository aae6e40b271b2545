"""Figures measured in turns with a reference load, so that a machine's moods meet both."""

from __future__ import annotations

import statistics
import time
import tracemalloc
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from pipeline.gate.baseline import Figure, Subject

#: Does a piece of work and returns the seconds that one unit of it took.
Timed = Callable[[], float]


@dataclass(frozen=True)
class TimedFigure:
    """A time to be measured: ``work``, done ``rounds`` times in turn with the reference."""

    work: Timed
    rounds: int


@dataclass(frozen=True)
class Suite:
    """What is measured together.

    Attributes:
        subject: what it is about.
        reference: fixed work; every time is a multiple of it.
        times: by name.
        values: other figures, which a busy machine does not move: name -> measures it.
        unmeasured: name -> why it cannot be measured here, such as for want of data; a baseline
            may know such a figure without failing.
    """

    subject: Subject
    reference: Timed
    times: Mapping[str, TimedFigure]
    values: Mapping[str, Callable[[], Figure]]
    unmeasured: Mapping[str, str]

    def measure(self, names: Collection[str] | None = None) -> dict[str, Figure]:
        """Measure all figures, or those of ``names``."""

        def wanted(name: str) -> bool:
            return names is None or name in names

        times = {name: timed for name, timed in self.times.items() if wanted(name)}
        figures = take_turns(self.reference, times)
        figures.update({name: value() for name, value in self.values.items() if wanted(name)})
        return figures


def take_turns(reference: Timed, figures: Mapping[str, TimedFigure]) -> dict[str, Figure]:
    """Measure times as multiples of a reference load.

    In every round each figure is measured between two runs of the reference; its value is the
    median over the rounds of its time over the mean of these two. Figures with fewer rounds are
    spread over the others.

    Args:
        reference: fixed work.
        figures: by name.
    """
    if not figures:
        return {}
    for timed in figures.values():
        timed.work()  # caches fill, runtimes prepare themselves
    reference()
    most = max(timed.rounds for timed in figures.values())
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in figures}
    for number in range(most):
        before = reference()
        for name, timed in figures.items():
            if (number + 1) * timed.rounds // most == number * timed.rounds // most:
                continue  # not its turn
            seconds = timed.work()
            after = reference()
            taken[name].append((seconds, (before + after) / 2))
            before = after
    return {name: _figure(pairs) for name, pairs in taken.items()}


def timed(work: Callable[[], object]) -> Timed:
    """Make a function one that returns how long it took."""

    def run() -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    return run


def bytes_of(work: Callable[[], object]) -> Figure:
    """Most bytes that Python and NumPy hold at once for a piece of work, beyond those before it.

    A copy of a frame that nobody needs shows here to the byte, where a timer sees nothing.
    """
    work()  # what is kept from one run to the next is there after the first
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        work()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return Figure("bytes", float(peak - before))


def _figure(pairs: list[tuple[float, float]]) -> Figure:
    value = statistics.median(seconds / reference for seconds, reference in pairs)
    return Figure("time", value, statistics.median(seconds for seconds, _ in pairs) * 1e3)
