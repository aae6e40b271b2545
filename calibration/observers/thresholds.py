"""Searches for the best threshold of an INT8 scale over a site's distribution of magnitudes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

#: Candidates of the entropy search, evenly spaced.
_CANDIDATES = 500
#: What an empty bin of the quantised distribution holds, in values; else KL would be infinite.
_EMPTY = 1e-4

#: Candidates of the MSE search: first over the whole range, then twice around the best.
_COARSE, _FINE = 96, 17
#: The MSE search's smallest threshold is the largest magnitude divided by this.
_REACH = 2048

_Array = NDArray[np.float64]


@dataclass(frozen=True)
class Magnitudes:
    """How often each |x| was seen.

    Attributes:
        zeros: values that are exactly zero; any scale represents them.
        counts: (n,) values above zero per bin.
        edges: (n + 1,) of the bins, from 0 to the largest magnitude.
    """

    zeros: int
    counts: _Array
    edges: _Array

    @property
    def largest(self) -> float:
        """Largest magnitude."""
        return float(self.edges[-1])


def _minmax(seen: Magnitudes, _levels: int) -> float:
    return seen.largest


def _percentile(percent: float) -> Callable[[Magnitudes, int], float]:
    def find(seen: Magnitudes, _levels: int) -> float:
        """Upper edge of the bin that holds the percentile of |x|, zeros included.

        If the percentile is zero, only a few values are not, and all of them are kept.
        """
        kept = np.cumsum(seen.counts)
        rank = percent / 100 * (seen.zeros + kept[-1]) - seen.zeros
        if rank <= 0:
            return seen.largest
        return float(seen.edges[1 + np.searchsorted(kept, rank)])

    return find


def _entropy(seen: Magnitudes, levels: int) -> float:
    """Threshold whose quantised distribution loses least information (KL divergence).

    After Migacz, "8-bit inference with TensorRT", GTC 2017: for every number of kept bins the
    clipped values are added to the last kept one (P), the kept bins are merged into as many groups
    as there are magnitudes (128 in the talk) and spread evenly over the group's non-empty bins
    again (Q), and the least KL(P, Q) wins. Beyond the talk: group borders are spread evenly instead
    of leaving the remainder to the last group; where the last kept bin was empty and clipped values
    came to it, Q holds ``_EMPTY`` of a value there (as MXNet's port smooths it); exact zeros are
    left out, as rounding does not move them (with them, the peak at zero of a ReLU drags the
    threshold down).

    All candidates at once: with h the counts, n and c the values and non-empty bins of a group,
    N * KL = sum(h log h) - sum(n log(n / c)) + terms of the last bin, and each sum is a difference
    of cumulated ones.
    """
    counts, edges = _halved(seen.counts, seen.edges)
    bins, groups = len(counts), levels + 1
    kept = np.linspace(bins, groups, _CANDIDATES).astype(np.int64)
    total = counts.sum()
    values, filled, information = (
        np.concatenate(([0.0], np.cumsum(part)))
        for part in (counts, counts > 0, _times_log(counts, counts))
    )
    borders = kept[:, None] * np.arange(groups + 1) // groups
    n, c = np.diff(values[borders]), np.diff(filled[borders])
    mean = np.divide(n, c, out=np.ones_like(n), where=c > 0)
    last, clipped = counts[kept - 1], total - values[kept]
    mean_of_last = np.where(last > 0, mean[:, -1], _EMPTY)
    divergence = (
        information[kept - 1]
        + _times_log(last + clipped, last + clipped)
        - _times_log(n, mean).sum(1)
        - _times_log(clipped, mean_of_last)
    ) / total + np.log(np.maximum(values[kept], 1) / total)
    return float(edges[kept[np.argmin(divergence)]])


def _halved(counts: _Array, edges: _Array) -> tuple[_Array, _Array]:
    """Merge bins in pairs: 2048 (the talk's) to 4096 remain; in finer ones, tails are noise."""
    if len(counts) % 2:
        counts, edges = np.append(counts, 0), np.append(edges, edges[-1])
    return counts.reshape(-1, 2).sum(1), edges[::2]


def _times_log(factor: _Array, argument: _Array) -> _Array:
    """``factor * log(argument)``, 0 where the factor is 0."""
    logarithm = np.log(argument, out=np.zeros_like(argument), where=factor > 0)
    return factor * logarithm


def _mse(seen: Magnitudes, levels: int) -> float:
    """Threshold of the least expected squared error, rounding and clipping together.

    Values are taken as uniform within their bin, so steps as narrow as a bin are judged correctly.
    The error has nearly one minimum over the threshold: a coarse search over its logarithm, then
    two finer ones between the neighbours of the best.
    """
    density = seen.counts / np.diff(seen.edges)

    def error(reach: float) -> float:
        return float(density @ np.diff(_error_up_to(seen.edges, reach, levels)))

    tried = np.geomspace(seen.largest / _REACH, seen.largest, _COARSE)
    for _ in range(3):
        best = int(np.argmin([error(float(reach)) for reach in tried]))
        found = float(tried[best])
        tried = np.geomspace(tried[max(best - 1, 0)], tried[min(best + 1, len(tried) - 1)], _FINE)
    return found


def _error_up_to(x: _Array, reach: float, levels: int) -> _Array:
    """Integral from 0 to ``x`` of the squared error of quantising.

    Every whole step before x adds step^3 / 12; the rest is the cube of the distance to the nearest
    step, which beyond the last one is the clipped part.
    """
    step = reach / levels
    nearest = np.minimum(np.rint(x / step), levels)
    off = x - nearest * step
    return nearest * (step**3 / 12) + off * off * off / 3  # numpy's ** 3 is ten times as slow


#: How a threshold is found: method -> function of (magnitudes, levels above zero).
SEARCHES: Mapping[str, Callable[[Magnitudes, int], float]] = MappingProxyType(
    {
        "minmax": _minmax,
        "percentile_99.99": _percentile(99.99),
        "percentile_99.9": _percentile(99.9),
        "entropy": _entropy,
        "mse": _mse,
    }
)

#: Their names; the first clips nothing.
METHODS: tuple[str, ...] = tuple(SEARCHES)
