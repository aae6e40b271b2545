"""Upsampling to the size of another map: bilinear, or learned from that start."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def resized(x: Tensor, like: Tensor, align_corners: bool = False) -> Tensor:
    """Resize (N, C, h, w) bilinearly to the height and width of ``like``."""
    size = (like.shape[-2], like.shape[-1])
    return F.interpolate(x, size=size, mode="bilinear", align_corners=align_corners)


class BilinearUpsampling(nn.ConvTranspose2d):
    """Transposed convolution by an even factor that starts as bilinear interpolation.

    Long et al. 2015, section 3.3.

    Args:
        channels: of input and output; every output may learn from every input.
        factor: even; the kernel has twice that side.
    """

    def __init__(self, channels: int, factor: int) -> None:
        super().__init__(channels, channels, 2 * factor, factor, factor // 2, bias=False)
        with torch.no_grad():
            nn.init.zeros_(self.weight)
            ramp = 1 - (torch.arange(2 * factor) - factor + 0.5).abs() / factor
            for channel in range(channels):
                self.weight[channel, channel] = torch.outer(ramp, ramp)

    def forward(self, x: Tensor, like: Tensor) -> Tensor:  # type: ignore[override]
        """Upsample (N, C, h, w) and crop to the height and width of ``like``."""
        return cropped(super().forward(x), like)


def cropped(x: Tensor, like: Tensor) -> Tensor:
    """Cut rows and columns off the end of ``x`` until it has the height and width of ``like``."""
    height, width = like.shape[-2], like.shape[-1]
    if (x.shape[-2], x.shape[-1]) == (height, width):
        return x
    return x[:, :, 0:height, 0:width]
