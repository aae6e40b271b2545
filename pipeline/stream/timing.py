"""Durations and rates of runs of any length, in constant memory and with exact counts.

Times are added in seconds; summaries are in milliseconds.
"""

from __future__ import annotations

import math
import threading
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

#: Logarithm of the ratio of neighbouring bin edges, 1.01: a bin's centre is within 0.5 % of every
#: duration in it.
_LOG_GROWTH = math.log(1.01)
#: Bins from one microsecond to about 2.8 hours; the first and last also count what lies outside.
_SHORTEST = 1e-6
_BINS = 2320

_PERCENTILES = (50, 95, 99)

Summary = dict[str, float | None]


class Times:
    """Distribution of durations, in a histogram of geometric bins (18 KiB for any number).

    Percentiles are nearest-rank and off by at most 0.5 %; count, smallest and largest are exact.
    One thread adds; any thread may read.
    """

    def __init__(self) -> None:
        self._bins = [0] * _BINS
        self._smallest = math.inf
        self._largest = 0.0
        self.count = 0

    def add(self, seconds: float) -> None:
        """Count one duration; a negative one (a clock that stepped back) counts as zero."""
        seconds = max(seconds, 0.0)
        place = int(math.log(max(seconds, _SHORTEST) / _SHORTEST) / _LOG_GROWTH)
        self._bins[min(place, _BINS - 1)] += 1
        self._smallest = min(self._smallest, seconds)
        self._largest = max(self._largest, seconds)
        self.count += 1

    def summary(self) -> Summary:
        """``{"p50", "p95", "p99"}`` in milliseconds, rounded to a microsecond."""
        reached = list(accumulate(self._bins))
        if not (count := reached[-1]):
            return _summary([])
        places = [bisect_left(reached, _rank(percent, count) + 1) for percent in _PERCENTILES]
        centres = [_SHORTEST * math.exp((place + 0.5) * _LOG_GROWTH) for place in places]
        return _summary([min(max(centre, self._smallest), self._largest) for centre in centres])

    def absorb(self, other: Times) -> None:
        """Count all durations of another distribution too."""
        self._bins = [mine + theirs for mine, theirs in zip(self._bins, other._bins, strict=True)]
        self._smallest = min(self._smallest, other._smallest)
        self._largest = max(self._largest, other._largest)
        self.count += other.count


class RecentTimes:
    """The last ``window`` durations, for displays. Any thread may add and read."""

    def __init__(self, window: int = 300) -> None:
        self._seconds: deque[float] = deque(maxlen=window)
        self._lock = threading.Lock()

    def add(self, seconds: float) -> None:
        """Remember one duration, and forget the oldest."""
        with self._lock:
            self._seconds.append(seconds)

    def summary(self) -> Summary:
        """``{"p50", "p95", "p99"}`` in milliseconds, nearest rank, exact."""
        with self._lock:
            known = list(self._seconds)
        return _summary(percentiles(known, _PERCENTILES) if known else [])


def percentiles(values: Iterable[float], percents: Sequence[float]) -> list[float]:
    """Return percentiles by nearest rank: each is a measured value, never a mean of two."""
    known = sorted(values)
    return [known[_rank(percent, len(known))] for percent in percents]


def _rank(percent: float, count: int) -> int:
    """Place, from 0, of a percentile among ``count`` sorted values."""
    return max(1, math.ceil(count * percent / 100)) - 1


def _summary(seconds: list[float]) -> Summary:
    """Return percentiles in milliseconds; all None without ``seconds``."""
    known = dict(zip(_PERCENTILES, (round(value * 1e3, 3) for value in seconds), strict=False))
    return {f"p{percent}": known.get(percent) for percent in _PERCENTILES}


class Rate:
    """Events per second over a whole run: (N - 1) / (last - first) of N moments."""

    def __init__(self) -> None:
        self.count = 0
        self._first = 0.0
        self._last = 0.0

    def add(self, moment: float) -> None:
        """Count an event at ``moment`` (seconds of a monotonic clock)."""
        if not self.count:
            self._first = moment
        self._last = moment
        self.count += 1

    def absorb(self, other: Rate) -> None:
        """Count all events of another rate too."""
        if other.count:
            self._first = min(self._first, other._first) if self.count else other._first
            self._last = max(self._last, other._last)
            self.count += other.count

    @property
    def per_second(self) -> float | None:
        """None until two different moments are known."""
        span = self._last - self._first
        return (self.count - 1) / span if span > 0 else None


class RecentRate:
    """Events per second over the last ``window`` moments, for displays."""

    def __init__(self, window: int = 30) -> None:
        self._moments: deque[float] = deque(maxlen=window)

    def add(self, moment: float) -> None:
        """Count an event at ``moment`` (seconds of a monotonic clock)."""
        self._moments.append(moment)

    @property
    def per_second(self) -> float | None:
        """None until two different moments are known."""
        if len(self._moments) < 2:
            return None
        span = self._moments[-1] - self._moments[0]
        return (len(self._moments) - 1) / span if span > 0 else None


@dataclass(frozen=True)
class Work:
    """One frame's time in one stage; moments in seconds of ``time.monotonic()``."""

    stage: str
    frame: int
    began: float
    ended: float


class Tracer(Protocol):
    """Told of all work of a stream."""

    def of(self, source: str) -> Callable[[Work], None]:
        """Return the function that takes the work of one source, from any thread."""


class StageTimes:
    """One distribution per named stage; each stage is timed by one thread.

    Args:
        trace: told of every piece of work, with the index of its frame.
    """

    def __init__(self, trace: Callable[[Work], None] | None = None) -> None:
        self._times: dict[str, Times] = {}
        self._trace = trace

    @contextmanager
    def measure(self, stage: str, frame: int) -> Iterator[None]:
        """Time the body of a ``with``; a body that raises is not counted."""
        began = time.monotonic()
        yield
        self.add(Work(stage, frame, began, time.monotonic()))

    def add(self, work: Work) -> None:
        """Count work done by the calling thread."""
        self.of(work.stage).add(work.ended - work.began)
        if self._trace is not None:
            self._trace(work)

    def of(self, stage: str) -> Times:
        """Distribution of ``stage``; empty if it was never timed."""
        return self._times.setdefault(stage, Times())

    def absorb(self, other: StageTimes) -> None:
        """Add the work of another ``StageTimes``, stage by stage."""
        for stage, times in list(other._times.items()):
            self.of(stage).absorb(times)

    def summary(self) -> dict[str, Summary]:
        """Percentiles of every stage in milliseconds, in the order in which stages began."""
        return {stage: times.summary() for stage, times in list(self._times.items())}
