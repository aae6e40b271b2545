"""What quantisation-aware fine-tuning is given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class FineTuning:
    """What quantisation-aware fine-tuning starts from.

    Attributes:
        weights: a file, or a source as for ``models.weights.load_weights``; None for the registered
            ones.
        calibration: their ranges, as a table, or a folder or video to measure them on; None for
            the registered table.
    """

    weights: str | None = None
    calibration: Path | None = None
