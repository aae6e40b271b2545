"""Poolings in forms that every TensorRT front end supports."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def ceil_max_pool(x: Tensor) -> Tensor:
    """2x2/stride-2 max pooling that keeps an odd last row and column, as Caffe does.

    TensorRT front ends reject ``ceil_mode=True``; a row of zeros has the same effect if no value is
    negative, as after a ReLU.

    Args:
        x: (N, C, H, W) without negative values.

    Returns:
        (N, C, ceil(H / 2), ceil(W / 2)).
    """
    bottom, right = x.shape[-2] % 2, x.shape[-1] % 2
    if bottom or right:
        x = F.pad(x, (0, right, 0, bottom))
    return F.max_pool2d(x, 2)


def adaptive_average_pool(x: Tensor, bins: int) -> Tensor:
    """``F.adaptive_avg_pool2d(x, bins)`` as two matrix products.

    No runtime's pooling layer has bins of unequal size, which 45 rows in 6 bins need. Constant
    matrices with 1/size over each bin's positions, applied to rows and columns, give the same mean.

    Args:
        x: (N, C, H, W).
        bins: per side; bin i covers floor(i * H / bins) to ceil((i + 1) * H / bins).

    Returns:
        (N, C, bins, bins).
    """
    rows = _bin_means(x.shape[-2], bins).to(x)
    columns = _bin_means(x.shape[-1], bins).to(x)
    return rows @ x @ columns.T


def _bin_means(size: int, bins: int) -> Tensor:
    """Make the (bins, size) matrix whose product with a vector is the mean of each bin."""
    matrix = []
    for i in range(bins):
        first, end = i * size // bins, -(-(i + 1) * size // bins)
        matrix.append([1 / (end - first) if first <= k < end else 0.0 for k in range(size)])
    return torch.tensor(matrix)
