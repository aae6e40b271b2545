"""This commit against the base commit, alternating on this machine: the gate of ``check_fps.sh``.

pytest-benchmark records the times of this commit, as measured in the worker process;
``ratio_to_base`` and its interval are in ``extra_info``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import isnan, nan
from time import perf_counter
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.regression.decision import Ratio, is_worse, ratio
from benchmarks.regression.plugin import FIGURES, LINES
from benchmarks.regression.sides import (
    OUTPUTS,
    ROOT,
    Base,
    SideError,
    Worker,
    worktree,
)
from benchmarks.regression.work import Catalogue

pytestmark = pytest.mark.regression

#: Turns per time: as many as fit into ``_SECONDS``, between these bounds.
_FEWEST, _MOST, _SECONDS = 12, 48, 20.0
_spent = 0.0


def seconds_in_worker() -> float:
    """Timer for pytest-benchmark: the total time measured by this commit's worker."""
    return _spent


class Sides:
    """The workers of both sides.

    Args:
        runtime: of the engines.
        revision: replaces the accepted base; ``none`` for this tree alone.
    """

    def __init__(self, runtime: str, revision: str | None) -> None:
        self.accepted = Base.read() if revision is None else Base(revision)
        self._runtime = runtime
        self._root = None if revision == "none" else worktree(self.accepted.commit)
        self.open()
        self.names: list[str] = self.head.ask("list")
        self.base_names: list[str] = self.base.ask("list") if self.base else self.names

    def open(self) -> None:
        """Start the processes."""
        self.head = Worker(ROOT, self._runtime)
        self.base = Worker(self._root, self._runtime) if self._root else None

    def turn(self, name: str, number: int) -> tuple[float, float]:
        """Time a burst of both, in alternating order; return seconds of head and base."""
        base = self.base if name in self.base_names else None
        of_base = _ask(base, f"time {name}") if base and number % 2 else nan
        of_head = _ask(self.head, f"time {name}")
        return of_head, _ask(base, f"time {name}") if base and not number % 2 else of_base

    def ratio(self, name: str, turns: int) -> Ratio:
        """Take turns in new processes, with another memory layout."""
        self.close()
        self.open()
        taken = [self.turn(name, number) for number in range(-1, turns)][1:]  # the first opens it
        return ratio(*zip(*taken, strict=True))

    def close(self) -> None:
        """End both."""
        for worker in filter(None, (self.head, self.base)):
            worker.close()


def _ask(worker: Worker, what: str) -> Any:
    """Ask a side; fail in one line if it cannot do that."""
    try:
        return worker.ask(what)
    except SideError as error:
        pytest.fail(str(error), pytrace=False)


def chosen(names: Iterable[str], only: Sequence[str] | None) -> list[str]:
    """Names selected by ``--only``."""
    return [name for name in names if not only or any(part in name for part in only)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for every time and every figure selected by ``--only``."""
    runtime, only = (metafunc.config.getoption(name) for name in ("runtime", "only"))
    catalogue = Catalogue(runtime, OUTPUTS)
    if not chosen([*catalogue.times, *catalogue.figures], only):
        raise pytest.UsageError(
            f"--only {' --only '.join(only)}: nothing has that in its name; there are "
            f"{', '.join([*catalogue.times, *catalogue.figures])}"
        )
    for argument, names in (("time", catalogue.times), ("figure", catalogue.figures)):
        if argument in metafunc.fixturenames:
            metafunc.parametrize(argument, chosen(names, only))


@pytest.fixture(scope="session")
def sides(request: pytest.FixtureRequest) -> Iterator[Sides]:
    """Both sides; exits if the base is missing."""
    try:
        opened = Sides(request.config.getoption("runtime"), request.config.getoption("base"))
    except SideError as error:
        pytest.exit(f"error: {error}", returncode=3)
    yield opened
    opened.close()


@pytest.mark.benchmark(timer=seconds_in_worker)
def test_time(
    time: str, sides: Sides, benchmark: BenchmarkFixture, request: pytest.FixtureRequest
) -> None:
    """Fails if this commit took longer, twice."""
    sides.turn(time, 0)  # opens what is timed
    started = perf_counter()
    sides.turn(time, 1)
    rounds = round(min(_MOST, max(_FEWEST, _SECONDS / (perf_counter() - started))))
    heads: list[float] = []
    bases: list[float] = []

    def turn() -> None:
        global _spent
        head, base = sides.turn(time, len(heads))
        heads.append(head)
        bases.append(base)
        _spent += head

    benchmark.pedantic(turn, rounds=rounds)
    median = benchmark.stats.stats.median
    benchmark.extra_info["fps"] = 1 / median
    if isnan(bases[0]):
        request.config.stash[LINES].append(f"{time}: {1e3 * median:.2f} ms, not in the base")
        return
    first = ratio(heads, bases)
    benchmark.extra_info["ratio_to_base"] = vars(first)
    said = f"{time}: {1e3 * median:.2f} ms, {first} of the base"
    if first.looks_slower:
        again = sides.ratio(time, 2 * rounds)
        benchmark.extra_info["ratio_to_base_again"] = vars(again)
        said += f", again {again}"
        if again.is_slower:
            pytest.fail(f"slower: {said}", pytrace=False)
    request.config.stash[LINES].append(said)


def test_figure(figure: str, sides: Sides, request: pytest.FixtureRequest) -> None:
    """Fails if a figure that does not depend on the load is worse."""
    kind = Catalogue(request.config.getoption("runtime"), OUTPUTS).figures[figure]
    head = _ask(sides.head, f"figure {figure}")
    request.config.stash[FIGURES][figure] = {"value": head, "unit": kind.unit}
    said = f"{figure}: {head:g} {kind.unit}"
    if figure in sides.accepted.figures:
        base = sides.accepted.figures[figure]
    elif sides.base is not None and figure in sides.base_names:
        base = _ask(sides.base, f"figure {figure}")
    else:
        request.config.stash[LINES].append(f"{said}, not in the base")
        return
    request.config.stash[FIGURES][figure]["base"] = base
    if is_worse(kind, head, base):
        pytest.fail(f"worse: {said}, the base has {base:g}", pytrace=False)
    if head != base:
        request.config.stash[LINES].append(f"{said}, better or as good; the base has {base:g}")


def test_nothing_is_missing(sides: Sides) -> None:
    """Fails if this commit does not measure something that the base measures."""
    missing = [name for name in sides.base_names if name not in sides.names]
    if missing:
        pytest.fail(
            f"no longer measured: {', '.join(missing)}; restore it, or accept the loss with "
            "scripts/check_fps.sh --accept --reason TEXT",
            pytrace=False,
        )
