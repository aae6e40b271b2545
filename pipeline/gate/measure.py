"""Figures measured in turns with a reference load, so that a machine's moods meet both.

Each time is taken twice over: by the clock, and as processor time of this process. The clock is
what a user sees, and other processes spoil it; so a turn counts for it only when they left the
machine alone. Processor time stands their company, and misses what makes threads wait. It stands it
with one thread only: where several compute together, those that are done wait for one that was
interrupted, and spin; so engines have a work of their own for it.
"""

from __future__ import annotations

import os
import statistics
import time
import tracemalloc
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.gate.baseline import Figure, Subject

#: Does one piece of work; returns how many units it was (frames, runs).
Work = Callable[[], int]

#: A piece of work is repeated until it has taken so many seconds, a reference load likewise: the
#: scheduler gives processes turns of some milliseconds.
_LEAST, _LEAST_REFERENCE = 0.12, 0.06
#: Share of the machine that other processes may take in a turn that counts for the clock.
CALM = 0.08
#: Calm turns without which the clock is not believed.
_FEWEST = 4
#: Suffix of figures in processor time.
PROCESSOR = "processor time of "


@dataclass(frozen=True)
class Timed:
    """What a time is taken of.

    Attributes:
        work: is repeated.
        turns: how often.
        reference: fixed work that the time is a multiple of; None for the suite's.
    """

    work: Work
    turns: int
    reference: Work | None = None


@dataclass(frozen=True)
class Turn:
    """One figure between two reference loads.

    Attributes:
        wall, processor: time of the work over that of the references, per unit of each.
        ms: of a unit of work, by the clock.
        disturbed: share of the machine that other processes took meanwhile, 0..1.
    """

    wall: float
    processor: float
    ms: float
    disturbed: float


@dataclass(frozen=True)
class Measured:
    """Figures by name, and the reason for each that could not be measured."""

    figures: Mapping[str, Figure]
    unmeasured: Mapping[str, str]

    def without(self, names: Collection[str]) -> Measured:
        """Leave out figures, measured or not."""
        return Measured(
            {name: one for name, one in self.figures.items() if name not in names},
            {name: why for name, why in self.unmeasured.items() if name not in names},
        )


@dataclass(frozen=True)
class Suite:
    """What is measured together.

    Attributes:
        subject: what it is about.
        reference: fixed work; every time is a multiple of it.
        times: by name. A name that begins with :data:`PROCESSOR` gives processor time only, and
            leaves the clock to the same name without it.
        values: other figures, which a busy machine does not move: name -> measures it.
        unmeasured: name -> why it cannot be measured here, such as for want of data.
        narrow: the subject of this very processor model, the only one that judges on a CPU.
    """

    subject: Subject
    reference: Work
    times: Mapping[str, Timed]
    values: Mapping[str, Callable[[], Figure]]
    unmeasured: Mapping[str, str]
    narrow: Subject | None = None

    @property
    def recorded_as(self) -> Subject:
        """What a recording is about."""
        return self.narrow or self.subject

    @property
    def of_the_clock(self) -> list[str]:
        """Figures that only a quiet machine can measure."""
        return [name for name in self.times if not name.startswith(PROCESSOR)]

    @property
    def of_any_machine(self) -> list[str]:
        """Figures that a busy one can measure as well."""
        return [*(PROCESSOR + name for name in self.of_the_clock), *self.values]

    def measure(self, names: Collection[str] | None = None) -> Measured:
        """Measure all figures, or those of ``names``."""

        def wanted(name: str) -> bool:
            of_both = PROCESSOR + name not in self.times
            return names is None or name in names or (of_both and PROCESSOR + name in names)

        times = {name: timed for name, timed in self.times.items() if wanted(name)}
        measured = summary(take_turns(self.reference, times))
        values = {name: value() for name, value in self.values.items() if wanted(name)}
        return Measured({**measured.figures, **values}, {**measured.unmeasured, **self.unmeasured})


def take_turns(reference: Work, times: Mapping[str, Timed]) -> dict[str, list[Turn]]:
    """Measure times as multiples of a reference load, in turns.

    In every turn each figure is measured between two runs of the reference; figures with fewer
    turns are spread over those of the others.
    """
    for timed in times.values():
        timed.work()  # caches fill, runtimes prepare themselves
        (timed.reference or reference)()
    taken: dict[str, list[Turn]] = {name: [] for name in times}
    most = max((timed.turns for timed in times.values()), default=0)
    for number in range(most):
        for name, timed in times.items():
            if (number + 1) * timed.turns // most > number * timed.turns // most:
                taken[name].append(_turn(timed.reference or reference, timed.work))
    return taken


def summary(taken: Mapping[str, Sequence[Turn]]) -> Measured:
    """Make figures of turns: medians, by the clock of the calm ones only."""
    figures: dict[str, Figure] = {}
    unmeasured: dict[str, str] = {}
    for name, turns in taken.items():
        ms = statistics.median(turn.ms for turn in turns)
        cost = Figure("time", statistics.median(turn.processor for turn in turns))
        if name.startswith(PROCESSOR):
            figures[name] = cost
            continue
        if PROCESSOR + name not in taken:
            figures[PROCESSOR + name] = cost
        calm = [turn.wall for turn in turns if turn.disturbed <= CALM]
        if len(calm) >= min(_FEWEST, len(turns)):
            figures[name] = Figure("time", statistics.median(calm), ms)
        else:
            others = statistics.median(turn.disturbed for turn in turns)
            unmeasured[name] = f"other processes took {others:.0%} of the machine"
    return Measured(figures, unmeasured)


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


@dataclass(frozen=True)
class _Clocks:
    """Seconds by the clock, of this process, and of all processes where the system tells."""

    wall: float
    processor: float
    everyone: float | None

    @classmethod
    def now(cls) -> _Clocks:
        return cls(time.perf_counter(), time.process_time(), _busy_seconds())


def _turn(reference: Work, work: Work) -> Turn:
    start = _Clocks.now()
    before_wall, before_processor = _per_unit(reference, _LEAST_REFERENCE)
    wall, processor = _per_unit(work, _LEAST)
    after_wall, after_processor = _per_unit(reference, _LEAST_REFERENCE)
    return Turn(
        wall=2 * wall / (before_wall + after_wall),
        processor=2 * processor / (before_processor + after_processor),
        ms=wall * 1e3,
        disturbed=_others(start, _Clocks.now()),
    )


def _per_unit(work: Work, least: float) -> tuple[float, float]:
    """Seconds per unit by the clock and of this process."""
    wall, processor = time.perf_counter(), time.process_time()
    units = 0
    while not units or time.perf_counter() - wall < least:
        units += work()
    return (time.perf_counter() - wall) / units, (time.process_time() - processor) / units


def _others(start: _Clocks, end: _Clocks) -> float:
    """Share of the machine that other processes took; 0 where the system does not tell."""
    if start.everyone is None or end.everyone is None:
        return 0.0
    others = (end.everyone - start.everyone) - (end.processor - start.processor)
    return max(0.0, others / ((end.wall - start.wall) * (os.cpu_count() or 1)))


def _busy_seconds() -> float | None:
    """Seconds in which any core did anything, those that a hypervisor took away included."""
    try:
        with Path("/proc/stat").open(encoding="ascii") as file:
            user, nice, system, _idle, _waiting, *rest = map(int, file.readline().split()[1:])
    except (OSError, ValueError):
        return None
    return (user + nice + system + sum(rest[:3])) / os.sysconf("SC_CLK_TCK")
