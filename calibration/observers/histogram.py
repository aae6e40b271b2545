"""Histograms of a layer's activations, and the range that an INT8 scale should cover.

A site is a tensor of the network that INT8 quantises symmetrically: |x| up to a *threshold* is
rounded to one of ``levels`` steps, larger values are clipped. ``ActivationHistogram`` observes a
site on the calibration frames; ``threshold`` computes the threshold from it by one of ``METHODS``.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from calibration.errors import CalibrationError
from calibration.observers.thresholds import METHODS, SEARCHES, Magnitudes

__all__ = ["METHODS", "ActivationHistogram", "clipped_share", "threshold"]

#: Bins above zero; at least half of them lie below the largest magnitude seen.
BINS = 8192

#: Lower bound of every threshold, so that a site that is always zero has a scale too. The smallest
#: normal number of FP16; divided by 255 levels it is still not zero in FP16.
SMALLEST_THRESHOLD = 2.0**-14

#: Values binned at a time on a CPU; buffers of this size stay in its cache (three times as fast).
_CHUNK = 1 << 17

#: Values of one tensor that are counted at most. Of a larger one every k-th is, k odd, so that no
#: row or column of the usual even widths is left out every time; its extremes stay exact.
SAMPLED = 1 << 20


class ActivationHistogram:
    """Counts |x| of one site over all frames; memory does not grow with them.

    Bin 0 counts exact zeros (which any scale represents exactly, and of which a ReLU makes half of
    its output), bin k > 0 counts (k - 1) * width < |x| <= k * width. ``limit = BINS * width`` is a
    power of two. Where a value exceeds it, the range doubles as often as needed and neighbouring
    bins merge in pairs. Scaling by a power of two does not round, so the counts are at any time
    exactly those of one histogram over all counted values with the last range, in whatever order
    the frames came. Of tensors beyond ``SAMPLED`` values an even share is counted.

    Attributes:
        name: of the site or layer, for errors.
        counts: (BINS + 1,) int64.
        limit: upper edge of the last bin.
        minimum, maximum: exact, of x and not of |x|; 0 before the first value.
        count: values counted.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.counts: NDArray[np.int64] = np.zeros(BINS + 1, np.int64)
        self.limit = SMALLEST_THRESHOLD
        self.minimum = 0.0
        self.maximum = 0.0
        self.count = 0

    @property
    def magnitude(self) -> float:
        """Largest |x| seen."""
        return max(-self.minimum, self.maximum)

    @property
    def width(self) -> float:
        """Width of a bin."""
        return self.limit / BINS

    def add(self, values: torch.Tensor) -> None:
        """Count the values of a tensor of any shape and device, as float32.

        Raises:
            CalibrationError: NaN or an infinite value; the site is named, nothing is counted.
        """
        values = _flat(values.detach())
        if not len(values):
            return
        low, high = (float(extreme) for extreme in torch.aminmax(values))
        if not (math.isfinite(low) and math.isfinite(high)):
            raise CalibrationError(self._not_finite(values))
        self.minimum = min(self.minimum, low) if self.count else low
        self.maximum = max(self.maximum, high) if self.count else high
        values = values[:: values.numel() // SAMPLED | 1]
        self.count += values.numel()
        while self.limit < self.magnitude:
            self._double()
        self.counts += _binned(values, BINS / self.limit)

    def _double(self) -> None:
        pairs = self.counts[1:].reshape(-1, 2).sum(1)
        self.counts[1 : 1 + BINS // 2] = pairs
        self.counts[1 + BINS // 2 :] = 0
        self.limit *= 2

    def _not_finite(self, values: torch.Tensor) -> str:
        nan, infinite = int(torch.isnan(values).sum()), int(torch.isinf(values).sum())
        return (
            f"layer {self.name} gave {nan} NaN and {infinite} infinite values among "
            f"{values.numel()}, expected finite activations; check the weights (a training that "
            "diverged?) and the preprocessing's mean and std, then calibrate again"
        )


def threshold(histogram: ActivationHistogram, method: str, levels: int = 127) -> float:
    """Return the largest magnitude that INT8 should represent.

    Args:
        histogram: of at least one value.
        method: one of ``METHODS``.
        levels: steps from zero to the threshold: 127 for signed int8, 255 for unsigned (after a
            ReLU). The scale is threshold / levels.

    Returns:
        At least ``SMALLEST_THRESHOLD``, which is also the answer for a site that is always zero;
        otherwise at most the largest magnitude seen.

    Raises:
        CalibrationError: no value was counted.
    """
    if not histogram.count:
        raise CalibrationError(
            f"layer {histogram.name} saw no value, expected activations of the calibration frames; "
            "keep a part of the network that is never run out of INT8"
        )
    if histogram.magnitude <= SMALLEST_THRESHOLD:
        return SMALLEST_THRESHOLD
    found = SEARCHES[method](_magnitudes(histogram), levels)
    return min(max(found, SMALLEST_THRESHOLD), histogram.magnitude)


def clipped_share(histogram: ActivationHistogram, reach: float) -> float:
    """Return the share of values, 0 to 1, whose magnitude exceeds the threshold ``reach``.

    Exact at the edges of bins, where percentile and entropy thresholds lie; linear within a bin.
    """
    if not histogram.count or reach >= histogram.magnitude:
        return 0.0
    seen = _magnitudes(histogram)
    kept = np.interp(reach, seen.edges, np.concatenate(([0], np.cumsum(seen.counts))))
    return float(seen.counts.sum() - kept) / histogram.count


def _flat(values: torch.Tensor) -> torch.Tensor:
    """Return all values in memory order, as a view.

    For a channels-last tensor the logical order takes ten times as long.
    """
    strides = values.stride()
    return values.permute(sorted(range(values.ndim), key=lambda d: -strides[d])).reshape(-1)


def _binned(flat: torch.Tensor, scale: float) -> NDArray[np.int64]:
    """Count ceil(|x| * scale) of every value; (BINS + 1,)."""
    size = min(_CHUNK, len(flat)) if flat.device.type == "cpu" else len(flat)
    scaled = torch.empty(size, dtype=torch.float32, device=flat.device)
    index = torch.empty(size, dtype=torch.int16, device=flat.device)
    counts = torch.zeros(BINS + 1, dtype=torch.int64, device=flat.device)
    for chunk in torch.split(flat, size):
        part, bins = scaled[: len(chunk)], index[: len(chunk)]
        # Copied first: FP16 would overflow when scaled.
        bins.copy_(part.copy_(chunk).mul_(scale).abs_().ceil_())
        counts += torch.bincount(bins, minlength=BINS + 1)
    counted: NDArray[np.int64] = counts.cpu().numpy()
    return counted


def _magnitudes(histogram: ActivationHistogram) -> Magnitudes:
    """Return the bins up to the largest magnitude, which is the upper edge of the last one."""
    used = math.ceil(histogram.magnitude / histogram.width)
    edges = np.minimum(np.arange(used + 1) * histogram.width, histogram.magnitude)
    counts = histogram.counts[1 : used + 1].astype(np.float64)
    return Magnitudes(int(histogram.counts[0]), counts, edges)
