"""Recall by the size of the labelled region: how much of small and large objects is found."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.metrics.miou import check_same_size
from models.classes import ClassSet

#: Size bins: a region belongs to the first whose edge, a share of the picture, is above its own
#: share. At 480x360 the edges are 86, 432, 1728 and 8640 pixels, squares of side 9, 21, 42 and 93:
#: a distant traffic light, a sign, a pedestrian, a car; huge are near cars, roads and skies.
SIZE_BINS = {"tiny": 0.0005, "small": 0.0025, "medium": 0.01, "large": 0.05, "huge": float("inf")}


@dataclass(frozen=True)
class SizeRecall:
    """One size bin.

    Attributes:
        recall: share of the regions' pixels with the right class, from 0 to 1; None without any.
        regions: labelled regions in the bin.
        pixels: their pixels.
    """

    recall: float | None
    regions: int
    pixels: int


class RegionCounter:
    """Counts the correctly predicted pixels of labelled regions, by the size of the region.

    A region is a connected component (of eight neighbours) of one class's labels. A network with
    one fixed field of view misses objects much smaller than it and breaks up much larger ones
    (Noh et al., ICCV 2015, section 1), so unpooling, skips, dilation and pyramids should show here.
    """

    def __init__(self, classes: ClassSet) -> None:
        self.classes = classes
        self.regions: NDArray[np.int64] = np.zeros(len(SIZE_BINS), np.int64)
        self.pixels: NDArray[np.int64] = np.zeros(len(SIZE_BINS), np.int64)
        self.found: NDArray[np.int64] = np.zeros(len(SIZE_BINS), np.int64)

    def add(self, label: NDArray[np.uint8], predicted: NDArray[np.uint8]) -> None:
        """Count one frame; both are (H, W) uint8 class indices of the same size.

        Raises:
            DataError: the sizes differ.
        """
        check_same_size(label, predicted)
        numbers, count = self._numbered(label)
        sizes = np.bincount(numbers.ravel(), minlength=count)[1:]
        found = np.bincount((numbers * (label == predicted)).ravel(), minlength=count)[1:]
        edges = np.array(list(SIZE_BINS.values())[:-1]) * label.size
        bins = np.searchsorted(edges, sizes, side="right")
        for total, values in ((self.regions, None), (self.pixels, sizes), (self.found, found)):
            total += np.bincount(bins, values, minlength=len(SIZE_BINS)).astype(np.int64)

    def scores(self) -> dict[str, SizeRecall]:
        """Summarise what was counted so far, from tiny to huge."""
        columns = (self.regions.tolist(), self.pixels.tolist(), self.found.tolist())
        return {
            name: SizeRecall(found / pixels if pixels else None, regions, pixels)
            for name, regions, pixels, found in zip(SIZE_BINS, *columns, strict=True)
        }

    def _numbered(self, label: NDArray[np.uint8]) -> tuple[NDArray[np.int32], int]:
        """Number the regions of all classes from 1 in one (H, W) map; void and no class are 0."""
        numbers = np.zeros(label.shape, np.int32)
        count = 1
        for index in range(len(self.classes)):
            mask = (label == index).view(np.uint8)
            if index == self.classes.void or not mask.any():
                continue
            x, y, width, height = cv2.boundingRect(mask)  # most classes fill a corner only
            box = np.s_[y : y + height, x : x + width]
            found, own = cv2.connectedComponents(np.ascontiguousarray(mask[box]), connectivity=8)
            np.add(own, count - 1, out=numbers[box], where=mask[box].view(np.bool_))
            count += found - 1
        return numbers, count
