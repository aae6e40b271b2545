"""Options of INT8."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.evaluation.compare import Comparison


@dataclass(frozen=True)
class Budget:
    """What INT8 may lose.

    Attributes:
        miou_drop: largest loss of mIoU against FP32, from 0 to 1; where frames have labels.
        agreement: smallest share of pixels with FP32's class; where they have none.
    """

    miou_drop: float = 0.005
    agreement: float = 0.98

    def holds(self, comparison: Comparison) -> bool:
        drop = comparison.miou_drop
        if drop is None:
            return comparison.pixel_agreement >= self.agreement
        return drop <= self.miou_drop

    def loss(self, comparison: Comparison) -> float:
        """The loss of mIoU against FP32, or without labels the share of pixels that differ."""
        drop = comparison.miou_drop
        return 1 - comparison.pixel_agreement if drop is None else drop


@dataclass(frozen=True, kw_only=True)
class Int8Options:
    """How INT8 is calibrated and judged.

    Attributes:
        calibration: table, folder of pictures or video; None for the registered table.
        data: labelled folder, or pictures, to judge INT8 on; None for the calibration's frames.
            In other precisions the finished engine is measured on it.
        max_miou_drop: largest loss of mIoU on ``data``, 0 to 1; None for the default.
        high_precision: convolutions, or beginnings of their names, that stay in floating point.
    """

    calibration: Path | None = None
    data: Path | None = None
    max_miou_drop: float | None = None
    high_precision: tuple[str, ...] = ()

    @property
    def budget(self) -> Budget:
        return Budget() if self.max_miou_drop is None else Budget(self.max_miou_drop)
