"""Max pooling that keeps its arg-max positions, and its inverse, in operations of every runtime.

No TensorRT front end supports ``max_unpool2d`` or the second output of ``MaxPool`` (NVIDIA/TensorRT
issues 27 and 3761), so the 2x2/stride-2 case is written here with slices, comparisons and
selections. The result is bit-equal to ``F.max_pool2d(x, 2, return_indices=True)`` followed by
``F.max_unpool2d``, ties included: after a ReLU whole windows tie at zero, and PyTorch then keeps
the *first* position in row-major order. A mask ``x == upsample(max)`` would keep all four.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Pooled(NamedTuple):
    """Result of 2x2 max pooling.

    Attributes:
        values: window maxima, (N, C, H // 2, W // 2), the dtype of the input.
        phase: position of the first maximum inside its window, 0..3 in row-major order, in the
            shape and dtype of ``values`` (a float plane: runtimes compare and resize those
            fastest).
        size: (H, W) of the input, which unpooling restores; odd rows and columns are zero there.
    """

    values: Tensor
    phase: Tensor
    size: tuple[int, int]


def max_pool_phases(x: Tensor) -> Pooled:
    """Pool 2x2 with stride 2 and record the position of each maximum.

    Args:
        x: (N, C, H, W), H and W at least 2. An odd last row or column is dropped, as PyTorch's
            floor mode does (Caffe's would keep it).
    """
    height, width = x.shape[-2:]
    values = F.max_pool2d(x, 2)
    # Static slice ends: open ends are exported as computed shapes, hundreds of layers.
    bottom, right = height // 2 * 2, width // 2 * 2
    first = x[:, :, 0:bottom:2, 0:right:2] >= values
    second = x[:, :, 0:bottom:2, 1:right:2] >= values
    third = x[:, :, 1:bottom:2, 0:right:2] >= values
    zero, one, two, three = (torch.full((), k, dtype=x.dtype, device=x.device) for k in range(4))
    phase = torch.where(first, zero, torch.where(second, one, torch.where(third, two, three)))
    return Pooled(values, phase, (height, width))


def unpool_phases(x: Tensor, phase: Tensor, size: tuple[int, int]) -> Tensor:
    """Put each value back at the position of its maximum, with zeros elsewhere.

    Args:
        x: (N, C, h, w), the decoder's features, in general not the pooled values.
        phase: the positions that :func:`max_pool_phases` recorded, same shape.
        size: (H, W) of the result, with H // 2 == h and W // 2 == w.
    """
    channels, height, width = x.shape[-3:]

    def windows(plane: Tensor) -> Tensor:
        """Reshape to windows of one value, to broadcast to four; channels last, so it is a view."""
        return plane.permute(0, 2, 3, 1).reshape(-1, height, 1, width, 1, channels)

    pattern = torch.tensor([[0.0, 1.0], [2.0, 3.0]], dtype=x.dtype, device=x.device)
    zero = torch.zeros((), dtype=x.dtype, device=x.device)
    # Broadcasting enlarges the maps. Runtimes fuse that into one kernel, while enlarged maps would
    # be written to memory and read again.
    spread = torch.where(windows(phase) == pattern.view(1, 1, 2, 1, 2, 1), windows(x), zero)
    unpooled = spread.reshape(-1, 2 * height, 2 * width, channels).permute(0, 3, 1, 2)
    bottom, right = size[0] - 2 * height, size[1] - 2 * width
    return F.pad(unpooled, (0, right, 0, bottom)) if bottom or right else unpooled


class MaxPoolPhases(nn.Module):
    """:func:`max_pool_phases` as a layer."""

    def forward(self, x: Tensor) -> Pooled:
        return max_pool_phases(x)


class MaxUnpoolPhases(nn.Module):
    """:func:`unpool_phases` as a layer."""

    def forward(self, x: Tensor, pooled: Pooled) -> Tensor:
        return unpool_phases(x, pooled.phase, pooled.size)
