"""When is slower slower: the rule on recorded turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: Loss that counts, and what its whole interval has to lie beyond.
LIMIT, SURE = 0.05, 0.02
_RESAMPLES = 2000


@dataclass(frozen=True)
class Ratio:
    """Time of the head over that of the base.

    Attributes:
        median: over turns.
        low, high: its 95 % interval, by bootstrap over turns.
    """

    median: float
    low: float
    high: float

    @property
    def is_loss(self) -> bool:
        """Whether a loss of the limit is likely, and one of less than ``SURE`` is not."""
        return self.high > 1 + LIMIT and self.low > 1 + SURE

    def words(self) -> str:
        """``1.003 (0.998 to 1.006)``."""
        return f"{self.median:.3f} ({self.low:.3f} to {self.high:.3f})"


def ratio(head: Sequence[float], base: Sequence[float], seed: int = 0) -> Ratio:
    """Compare the times of bursts that were taken in turns.

    Args:
        head, base: seconds of a unit, turn by turn.
        seed: of the resampling.
    """
    ratios = np.asarray(head) / np.asarray(base)
    drawn = np.random.default_rng(seed).choice(ratios, (_RESAMPLES, len(ratios)))
    low, high = np.percentile(np.median(drawn, axis=1), (2.5, 97.5))
    return Ratio(float(np.median(ratios)), float(low), float(high))
