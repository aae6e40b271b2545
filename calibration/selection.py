"""The choice of calibration frames: all light and places of a drive, without near duplicates.

Ranges can be wrong for scenes that calibration did not see, and a hundred frames at one traffic
light are one scene. So frames are chosen in two stages, both deterministic:

1. **Exposure strata**: eight fixed bands of mean luminance. Half of the frames are distributed over
   the bands in proportion to their size, half equally, so that five per cent of tunnel frames get a
   larger share but not most of the frames.
2. **Content, within a band**: farthest-first traversal (Gonzalez, "Clustering to minimize the
   maximum intercluster distance", 1985). The first frame is the band's most average one, each next
   one differs most from all chosen before. Unlike clustering it needs no random start and no number
   of clusters, takes a duplicate only when nothing else is left, and the distance of any frame to
   its k chosen ones is at most twice that of the best k.

Descriptors are whole numbers, in half grey levels of a 32x24 thumbnail, so distances and ties (the
first frame wins) are the same on all machines, and mostly with other decoders' rounding too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

#: Frames that differ by less, in grey levels (root of the mean square), count as the same.
NEARLY_ALIKE = 2.0

_BANDS = 8
_THUMBNAIL = (32, 24)  # width, height
_CELLS = (8, 6)  # of the layout, in x and y

#: Weights of descriptor values: mean, contrast, edges and two colours weigh as much as the layout.
_WEIGHTS = np.array([_CELLS[0] * _CELLS[1]] * 5 + [1] * (_CELLS[0] * _CELLS[1]), np.int64)
#: Squared distance of one grey level, since values are in half levels.
_UNIT = 4 * int(_WEIGHTS[0])

Descriptor = NDArray[np.int64]


@dataclass(frozen=True)
class Choice:
    """Attributes: ``indices`` chosen, ascending; ``distinct`` of them differ from each other."""

    indices: tuple[int, ...]
    distinct: int


def describe(image: NDArray[np.uint8]) -> Descriptor:
    """Light, contrast, edges, colours and coarse layout of (H, W, 3) uint8 BGR, in half levels."""
    small = cv2.resize(image, _THUMBNAIL, interpolation=cv2.INTER_AREA).astype(np.float64)
    blue, green, red = (small[..., channel] for channel in range(3))
    grey = 0.114 * blue + 0.587 * green + 0.299 * red
    edges = sum(float(np.abs(np.diff(grey, axis=axis)).mean()) for axis in (0, 1))
    mean = float(grey.mean())
    (across, down), (width, height) = _CELLS, _THUMBNAIL
    layout = grey.reshape(down, height // down, across, width // across).mean(axis=(1, 3)) - mean
    colours = ((red - green).mean(), (blue - green).mean())
    values = np.array([mean, grey.std(), edges, *colours, *layout.ravel()])
    halves: Descriptor = np.rint(2 * values).astype(np.int64)
    return halves


def choose(descriptors: Sequence[Descriptor], count: int) -> Choice:
    """Choose ``count`` frames, or all where there are no more."""
    table = np.array(descriptors, np.int64).reshape(-1, len(_WEIGHTS))
    bands = table[:, 0] * _BANDS // (2 * 256)
    traversals = []  # per band: frames in the order of choice, and what each adds
    for band in np.unique(bands):
        members = np.flatnonzero(bands == band)
        order, gaps = _farthest_first(table[members])
        traversals.append((members[order], gaps))
    new = [int((gaps >= NEARLY_ALIKE**2 * _UNIT).sum()) for _, gaps in traversals]
    seats = _share_out(count, new)
    chosen = [order[:n] for (order, _), n in zip(traversals, seats, strict=True)]
    rest = [
        (-int(gap), int(index))
        for (order, gaps), n in zip(traversals, seats, strict=True)
        for index, gap in zip(order[n:], gaps[n:], strict=True)
    ]
    # If all distinct frames are chosen, the most different of the others follow.
    fill = [index for _, index in sorted(rest)[: count - sum(seats)]]
    indices = [*np.concatenate(chosen).tolist(), *fill]
    return Choice(tuple(sorted(indices)), sum(seats))


def _farthest_first(table: NDArray[np.int64]) -> tuple[list[int], NDArray[np.int64]]:
    """Return the rows in order of choice, and each one's squared distance to those before it."""
    centre = np.rint(table.mean(axis=0)).astype(np.int64)
    row = int(np.argmin(_distances(table, centre)))
    order, gaps = [], []
    nearest = np.full(len(table), np.iinfo(np.int64).max)
    for _ in range(len(table)):
        order.append(row)
        gaps.append(nearest[row])
        nearest = np.minimum(nearest, _distances(table, table[row]))
        nearest[row] = -1  # taken: even a duplicate, at distance 0, comes before it
        row = int(np.argmax(nearest))
    return order, np.array(gaps)


def _distances(table: NDArray[np.int64], row: Descriptor) -> NDArray[np.int64]:
    difference = table - row
    squared: NDArray[np.int64] = (difference * difference) @ _WEIGHTS
    return squared


def _share_out(count: int, sizes: Sequence[int]) -> list[int]:
    """Distribute seats over the bands: half by size, half equally (Sainte-Lague's method)."""
    weights = [size / sum(sizes) + 1 / len(sizes) for size in sizes]
    seats = [0] * len(sizes)
    for _ in range(min(count, sum(sizes))):
        claims = [
            weight / (2 * taken + 1) if taken < size else 0.0
            for weight, taken, size in zip(weights, seats, sizes, strict=True)
        ]
        seats[claims.index(max(claims))] += 1
    return seats
