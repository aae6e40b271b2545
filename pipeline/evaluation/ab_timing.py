"""Timing of two sessions in turn on the same frames, so that load on the machine slows both alike.

A machine's speed may change by half within seconds. So times of two engines can only be compared
when they alternate in one run: a b, b a, a b, ..., each as often first as second.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.evaluation.latency import Latency, latency_of
from pipeline.runtimes.session import Frames, Session
from pipeline.stream.frame import ClassMap, Image
from pipeline.stream.timing import percentiles

#: Untimed runs of each session before the first frame, and before a frame of another size: runtimes
#: prepare for a size at its first run.
_WARMUP_FIRST, _WARMUP_SIZE = 3, 1
#: Latest pairs of times that are kept, so that memory is bounded.
_PAIRS = 4096


@dataclass(frozen=True)
class Speed:
    """How fast two sessions were in one interleaved run.

    Attributes:
        latency: of a and of b.
        pair_quartiles: first quartile, median and third quartile of (time of a / time of b) over
            all pairs; close to each other on a quiet machine.
    """

    latency: tuple[Latency, Latency]
    pair_quartiles: tuple[float, float, float]

    @property
    def fps(self) -> tuple[float, float]:
        """Frames per second of a and of b at their median latency."""
        return self.latency[0].fps, self.latency[1].fps

    @property
    def speedup(self) -> float:
        """How many times as fast as a b is: ratio of the median latencies."""
        return self.latency[0].p50 / self.latency[1].p50

    def to_json(self) -> dict[str, Any]:
        """Return ``fps`` and ``latency_ms`` of a and b, ``speedup`` and its spread over pairs."""
        return {
            "fps": list(self.fps),
            "latency_ms": [latency.to_json() for latency in self.latency],
            "speedup": self.speedup,
            "speedup_of_pairs": dict(zip(("q1", "median", "q3"), self.pair_quartiles, strict=True)),
            "pairs": self.latency[0].runs,
        }


def take_turns(sessions: Sequence[Session], batch: Frames, rounds: int) -> list[Latency]:
    """Time several sessions on one frame, (1, H, W, 3) uint8, in turn.

    Each session has ``rounds`` timed runs after a warm-up; each round starts with the next session.
    """
    times: list[list[float]] = [[] for _ in sessions]
    for session in sessions:
        for _ in range(_WARMUP_FIRST):
            session.run(batch)
    for first in range(rounds):
        for offset in range(len(sessions)):
            index = (first + offset) % len(sessions)
            start = time.perf_counter()
            sessions[index].run(batch)
            times[index].append((time.perf_counter() - start) * 1000)
    return [latency_of(taken) for taken in times]


class Interleaved:
    """Runs two sessions frame by frame, and times them on request.

    Args:
        a, b: opened sessions, which the caller closes.
        measure: time the runs, after a warm-up.
        clock: monotonic, in seconds.
    """

    def __init__(
        self,
        a: Session,
        b: Session,
        measure: bool = True,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._sessions = (a, b)
        self._measure = measure
        self._clock = clock
        self._shape: tuple[int, ...] | None = None
        self._b_first = False
        self._pairs: deque[tuple[float, float]] = deque(maxlen=_PAIRS)

    def run(self, image: Image) -> tuple[ClassMap, ClassMap]:
        """Segment one frame with both.

        Args:
            image: (H, W, 3) uint8 BGR.

        Returns:
            Class maps of a and of b, (h, w) uint8, each at its own network's size.
        """
        batch = image[None]
        if self._measure and image.shape != self._shape:
            self._warm_up(batch)
            self._shape = image.shape
        order = (1, 0) if self._b_first else (0, 1)
        runs = {index: self._timed(self._sessions[index], batch) for index in order}
        (of_a, a_ms), (of_b, b_ms) = runs[0], runs[1]
        self._b_first = not self._b_first
        if self._measure:
            self._pairs.append((a_ms, b_ms))
        return of_a, of_b

    def speed(self) -> Speed | None:
        """Summarise the latest pairs of runs; None where nothing was measured."""
        if not self._pairs:
            return None
        of_a, of_b = zip(*self._pairs, strict=True)
        ratios = [a / b for a, b in zip(of_a, of_b, strict=True)]
        first, median, third = percentiles(ratios, (25, 50, 75))
        return Speed((latency_of(of_a), latency_of(of_b)), (first, median, third))

    def _warm_up(self, batch: Frames) -> None:
        for _ in range(_WARMUP_FIRST if self._shape is None else _WARMUP_SIZE):
            for session in self._sessions:
                session.run(batch)

    def _timed(self, session: Session, batch: Frames) -> tuple[ClassMap, float]:
        start = self._clock()
        classes = session.run(batch)[0]
        return classes, (self._clock() - start) * 1000
