"""How long TensorRT for RTX runs general kernels, before those for a frame size are compiled.

It compiles beside the runs and says nothing of it. What shows is that runs get shorter; so that is
what is looked for, and told with its figures.
"""

from __future__ import annotations

import logging
import statistics
import time
from collections import deque
from collections.abc import Callable

log = logging.getLogger(__name__)

#: Runs whose median stands for "at first" and for "now".
_RUNS = 5
#: Times of runs differ by less than this share among themselves, on a GPU that does nothing else.
_SHORTER = 0.8


class GeneralKernels:
    """Watches the times of runs; after a change of the frame's size it starts anew.

    Args:
        clock: seconds.
    """

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
        """Take the time of one run on the GPU, of frames of ``size`` (width, height)."""
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
