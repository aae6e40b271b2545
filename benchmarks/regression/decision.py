"""The rule for a loss of speed, from turns of head and base."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.regression.work import Figure

#: A loss of this share must be detected in 19 of 20 runs.
LIMIT = 0.05
#: Two processes of the same code usually differ by less, because of their memory layout.
_SPREAD = 0.015
#: The whole interval of a loss must be above this share.
_SURE = 0.02
_RESAMPLES = 1000


@dataclass(frozen=True)
class Ratio:
    """Time of the head over that of the base: ``median`` over turns and its 95 % interval."""

    median: float
    low: float
    high: float

    @property
    def looks_slower(self) -> bool:
        """Whether the limit may be exceeded, given the spread of two processes."""
        return self.median > 1 + LIMIT - _SPREAD

    @property
    def is_slower(self) -> bool:
        """Whether it looks slower, and the whole interval shows a loss."""
        return self.looks_slower and self.low > 1 + _SURE

    def __str__(self) -> str:
        return f"{self.median:.3f} ({self.low:.3f} to {self.high:.3f})"


def ratio(head: Sequence[float], base: Sequence[float]) -> Ratio:
    """Compare seconds of alternating bursts; the interval is a bootstrap over turns."""
    ratios = np.asarray(head) / np.asarray(base)
    drawn = np.random.default_rng(0).choice(ratios, (_RESAMPLES, len(ratios)))
    low, high = np.percentile(np.median(drawn, axis=1), (2.5, 97.5))
    return Ratio(float(np.median(ratios)), float(low), float(high))


def is_worse(figure: Figure, head: float, base: float) -> bool:
    """Compare a figure that does not depend on the load, exactly or within its tolerance."""
    lost = base - head if figure.higher else head - base
    return lost > figure.tolerance * abs(base)
