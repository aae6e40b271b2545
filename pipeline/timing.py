"""Durations and rates of runs that may never end: constant memory, exact counts.

Times are kept in seconds inside and given in milliseconds outside.
"""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate

#: Edges of neighbouring bins differ by this factor, so that a bin's centre is within 0.5 % of
#: everything in the bin.
_LOG_GROWTH = math.log(1.01)
#: One microsecond to about 2.8 hours; what lies outside counts in the first or last bin.
_SHORTEST = 1e-6
_BINS = 2320

Summary = dict[str, float | None]


class Times:
    """Distribution of durations in a histogram of geometric bins (18 KiB, however many there are).

    Percentiles are nearest-rank and off by at most 0.5 %; count, mean, smallest and largest are
    exact. One thread adds; any thread may read.
    """

    def __init__(self) -> None:
        self._bins = [0] * _BINS
        self._total = 0.0
        self._smallest = math.inf
        self._largest = 0.0
        self.count = 0

    def add(self, seconds: float) -> None:
        """Count one duration; a negative one (a clock that stepped back) counts as zero."""
        seconds = max(seconds, 0.0)
        place = int(math.log(max(seconds, _SHORTEST) / _SHORTEST) / _LOG_GROWTH)
        self._bins[min(place, _BINS - 1)] += 1
        self._total += seconds
        self._smallest = min(self._smallest, seconds)
        self._largest = max(self._largest, seconds)
        self.count += 1

    @property
    def mean_ms(self) -> float | None:
        """Exact mean in milliseconds; None before the first duration."""
        return self._total / self.count * 1e3 if self.count else None

    def percentile_ms(self, percent: float) -> float | None:
        """Smallest duration that ``percent`` of all do not exceed, in ms; None without any."""
        if not self.count:
            return None
        rank = max(1, math.ceil(self.count * percent / 100))
        reached = list(accumulate(self._bins))
        place = bisect_left(reached, rank)
        centre = _SHORTEST * math.exp((place + 0.5) * _LOG_GROWTH)
        return min(max(centre, self._smallest), self._largest) * 1e3

    def summary(self) -> Summary:
        """``{"p50", "p95", "p99"}`` in milliseconds, rounded to a microsecond."""
        values = {f"p{percent}": self.percentile_ms(percent) for percent in (50, 95, 99)}
        return {name: None if ms is None else round(ms, 3) for name, ms in values.items()}


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

    @property
    def per_second(self) -> float | None:
        """None until two different moments are known."""
        span = self._last - self._first
        return (self.count - 1) / span if span > 0 else None


class RecentRate:
    """Events per second over the last ``window`` moments: what a display shows."""

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


class StageTimes:
    """One distribution per named stage; each stage is timed by one thread."""

    def __init__(self) -> None:
        self._times: dict[str, Times] = {}

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Time the body of a ``with``; a body that raises is not counted."""
        started = time.monotonic()
        yield
        self.of(stage).add(time.monotonic() - started)

    def of(self, stage: str) -> Times:
        """Distribution of ``stage``, empty when it was never timed."""
        return self._times.setdefault(stage, Times())

    def summary(self) -> dict[str, Summary]:
        """Percentiles of every stage in milliseconds, in the order in which stages began."""
        return {stage: times.summary() for stage, times in list(self._times.items())}
