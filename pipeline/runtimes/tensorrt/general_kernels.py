"""How long TensorRT for RTX runs general kernels, until those for a frame size are compiled.

It compiles during the runs without a message. The runs then get shorter, which is detected here and
logged with the times.
"""

from __future__ import annotations

import logging
import statistics
import time
from collections import deque
from collections.abc import Callable

log = logging.getLogger(__name__)

#: Runs in the median of the first times, and in that of the latest.
_RUNS = 5
#: Runs below this share of the first times use other kernels: a GPU's times vary less otherwise.
_SHORTER = 0.8


class GeneralKernels:
    """Watches the times of runs; a new frame size starts it again."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._size: tuple[int, int] | None = None
        self._start(None)

    def _start(self, size: tuple[int, int] | None) -> None:
        self._size, self._began = size, self._clock()
        self._first: list[float] = []
        self._now: deque[float] = deque(maxlen=_RUNS)
        self._told = False

    def add(self, size: tuple[int, int], ms: float) -> None:
        """Add the time of one run on the GPU, of frames of ``size`` (width, height)."""
        if size != self._size:
            self._start(size)
        if self._told:
            return
        if len(self._first) < _RUNS:
            self._first.append(ms)
            return
        self._now.append(ms)
        before, now = statistics.median(self._first), statistics.median(self._now)
        if len(self._now) == _RUNS and now < _SHORTER * before:
            self._told = True
            log.warning(
                "frames of %dx%d: general kernels ran for %.1f s, %.1f ms a run; now %.1f ms",
                *size,
                self._clock() - self._began,
                before,
                now,
            )
