"""When is slower slower: the rule, on turns of head and base."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.regression.work import Figure

#: A loss of so much has to be found 19 times in 20.
LIMIT = 0.05
#: Two processes of the same code usually differ by less, for where their memory happens to lie.
_SPREAD = 0.015
#: What the whole interval of a loss lies beyond.
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
        """Whether the limit is reached, as far as two processes can tell."""
        return self.median > 1 + LIMIT - _SPREAD

    @property
    def is_slower(self) -> bool:
        """Whether it is, and some loss is beyond doubt."""
        return self.looks_slower and self.low > 1 + _SURE

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
