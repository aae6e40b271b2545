"""Latency of an engine on this machine, frame by frame."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from pipeline.runtimes.session import Frames, Session
from pipeline.stream.timing import percentiles

_WARM_UP = 3


@dataclass(frozen=True)
class Latency:
    """Summary of runs, in milliseconds.

    Attributes:
        p50, p95, p99: percentiles, nearest rank.
        runs: measured.
        jitter: mean difference between one run and the next.
    """

    p50: float
    p95: float
    p99: float
    runs: int
    jitter: float = 0.0

    @property
    def fps(self) -> float:
        """Frames per second at the median latency."""
        return 1000 / self.p50

    def to_json(self) -> dict[str, float]:
        """Return the percentiles."""
        return {"p50": self.p50, "p95": self.p95, "p99": self.p99}


def latency_of(times: Iterable[float]) -> Latency:
    """Summarise measured times, in milliseconds, one at least."""
    taken = list(times)
    p50, p95, p99 = percentiles(taken, (50, 95, 99))
    jitter = float(np.abs(np.diff(taken)).mean()) if len(taken) > 1 else 0.0
    return Latency(p50, p95, p99, len(taken), jitter)


def time_runs(session: Session, frame: Frames, seconds: float, runs: int) -> list[float]:
    """Run one frame again and again, until ``runs`` or ``seconds`` are reached (5 runs at least).

    Args:
        session: loaded engine.
        frame: (N, H, W, 3) uint8, one run each.
        seconds: time after which no further run starts.
        runs: most runs to measure.

    Returns:
        Milliseconds of each run.
    """
    for _ in range(_WARM_UP):
        session.run(frame)
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 5 or (len(times) < runs and time.perf_counter() < end):
        start = time.perf_counter()
        session.run(frame)
        times.append((time.perf_counter() - start) * 1000)
    return times
