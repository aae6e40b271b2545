"""Scores of what mIoU does not show: outlines, small objects and flicker."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.metrics.boundary import TOLERANCE, BoundaryCounter, BoundaryScores
from calibration.metrics.regions import RegionCounter, SizeRecall
from calibration.metrics.stability import FlipCounter, Stability, sequence_of
from calibration.scenes.dataset import Sample
from models.classes import ClassSet


@dataclass(frozen=True)
class Detail:
    """Attributes: ``boundary`` F1; ``recall_by_size`` from tiny to huge; ``stability`` in time."""

    boundary: BoundaryScores
    recall_by_size: dict[str, SizeRecall]
    stability: Stability

    def to_json(self) -> dict[str, Any]:
        """Return plain values: ``boundary_f1``, ``recall_by_size``, ``flip_share`` and counts."""
        return {
            "boundary_f1": self.boundary.mean,
            "boundary_f1_per_class": self.boundary.f1,
            "boundary_tolerance_px": TOLERANCE,
            "recall_by_size": {name: asdict(size) for name, size in self.recall_by_size.items()},
            "flip_share": self.stability.flip_share,
            "frame_pairs": self.stability.pairs,
        }


class DetailCounter:
    """Takes frames in the order of the video, as a labelled folder gives them."""

    def __init__(self, classes: ClassSet) -> None:
        self._boundary = BoundaryCounter(classes)
        self._regions = RegionCounter(classes)
        self._flips = FlipCounter(classes)

    def add(self, sample: Sample, predicted: NDArray[np.uint8]) -> None:
        """Count one frame; ``predicted`` is (H, W) uint8 at the label's size.

        Raises:
            DataError: the sizes differ.
        """
        self._boundary.add(sample.label, predicted)
        self._regions.add(sample.label, predicted)
        self._flips.add(sample.label, predicted, sequence_of(sample.name))

    def scores(self) -> Detail:
        """Summarise what was counted so far."""
        return Detail(self._boundary.scores(), self._regions.scores(), self._flips.scores())
