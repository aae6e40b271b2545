"""When is slower slower: the rule, on turns of head and base."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.regression.work import Figure

#: Loss of time that counts; and what its whole interval has to lie beyond.
LIMIT, SURE = 0.05, 0.02
_RESAMPLES = 2000


@dataclass(frozen=True)
class Ratio:
    """Time of the head over that of the base: ``median`` over turns and its 95 % interval."""

    median: float
    low: float
    high: float

    @property
    def is_loss(self) -> bool:
        """Whether the limit may be reached, and ``SURE`` is passed for certain."""
        return self.high > 1 + LIMIT and self.low > 1 + SURE

    def __str__(self) -> str:
        return f"{self.median:.3f} ({self.low:.3f} to {self.high:.3f})"


def ratio(head: Sequence[float], base: Sequence[float]) -> Ratio:
    """Compare seconds of bursts taken in turns; the interval is a bootstrap over turns."""
    ratios = np.asarray(head) / np.asarray(base)
    drawn = np.random.default_rng(0).choice(ratios, (_RESAMPLES, len(ratios)))
    low, high = np.percentile(np.median(drawn, axis=1), (2.5, 97.5))
    return Ratio(float(np.median(ratios)), float(low), float(high))


def is_worse(figure: Figure, head: float, base: float) -> bool:
    """Compare a figure that a busy machine does not move: exactly, or within its tolerance."""
    lost = base - head if figure.higher else head - base
    return lost > figure.tolerance * abs(base)
