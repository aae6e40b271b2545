"""Atrous spatial pyramid pooling with image-level features (Chen et al. 2017, arXiv:1706.05587)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class ImagePooling(nn.Sequential):
    """The mean over the picture, through a 1x1 convolution, repeated at every position."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(inputs, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H, W), one value per channel."""
        # The same as resizing one pixel bilinearly, but safe in every runtime.
        pooled: Tensor = super().forward(x)  # type: ignore[no-untyped-call]
        return pooled.expand(-1, -1, x.shape[-2], x.shape[-1])


class ASPP(nn.Module):
    """A 1x1 and several dilated 3x3 convolutions beside the picture's mean, projected by 1x1.

    Laid out as torchvision's ``ASPP``, so its state dict loads as it is.

    Args:
        inputs: input channels.
        outputs: channels of every branch and of the result.
        rates: dilation of each 3x3 branch.
        dropout: share of the projected values dropped in training.
    """

    def __init__(
        self, inputs: int, outputs: int, rates: Sequence[int], dropout: float = 0.5
    ) -> None:
        super().__init__()
        branches = [_convolution(inputs, outputs, 1)]
        branches += [_convolution(inputs, outputs, 3, rate) for rate in rates]
        branches.append(ImagePooling(inputs, outputs))
        self.convs = nn.ModuleList(branches)
        self.project = nn.Sequential(
            *_convolution(len(branches) * outputs, outputs, 1), nn.Dropout(dropout)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H, W)."""
        projected: Tensor = self.project(torch.cat([branch(x) for branch in self.convs], 1))
        return projected


def _convolution(inputs: int, outputs: int, kernel: int, rate: int = 1) -> nn.Sequential:
    padding = rate * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=rate, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )
