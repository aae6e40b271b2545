"""PSPNet (Zhao et al., CVPR 2017, arXiv:1612.01105).

ResNet-50 or -101 at output stride 8; pyramid pooling into 1, 2, 3 and 6 bins a side, each reduced
to a quarter of the channels by a 1x1 convolution, resized bilinearly and concatenated with the
encoder's map; a 3x3 convolution to 512 channels, dropout 0.1, a 1x1 classifier. Corners are aligned
in every resize, as Caffe's ``Interp`` does. An auxiliary head on the encoder's third stage helps
training (loss weight 0.4) and is no part of the network: :class:`AuxiliaryHead`.

Deviations: the ResNet is torchvision's; the authors' release has three 3x3 convolutions where it
has one 7x7.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.classes import ClassSet
from models.pooling import adaptive_average_pool
from models.resnet import ResNet

#: Bins per side of the four pyramid levels.
BINS = (1, 2, 3, 6)

#: Output channels of the 3x3 convolution of the head, and of the auxiliary head.
HEAD, AUXILIARY = 512, 256


class PyramidPooling(nn.Module):
    """Means over 1, 4, 9 and 36 parts of the picture, beside the map itself.

    Args:
        inputs: channels that come in; as many are added.
    """

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(_convolution(inputs, inputs // len(BINS), 1) for _ in BINS)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, 2 C, H, W)."""
        size = (x.shape[-2], x.shape[-1])
        maps = [x]
        for level, bins in zip(self.levels, BINS, strict=True):
            mean = level(adaptive_average_pool(x, bins))
            maps.append(F.interpolate(mean, size=size, mode="bilinear", align_corners=True))
        return torch.cat(maps, 1)


class PSPNet(nn.Module):
    """PSPNet on a ResNet.

    Args:
        classes: number of output channels.
        depth: of the ResNet, 50 or 101.
        width: factor on every channel count; 1.0 is the paper's network.
    """

    def __init__(self, classes: int, depth: int, width: float = 1.0) -> None:
        super().__init__()
        self.encoder = ResNet(depth, output_stride=8, width=width)
        channels, head = self.encoder.channels.last, round(HEAD * width)
        self.pyramid = PyramidPooling(channels)
        self.head = nn.Sequential(
            _convolution(2 * channels, head, 3), nn.Dropout2d(0.1), nn.Conv2d(head, classes, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 3, H, W) normalised pictures to (N, classes, H, W) logits."""
        scores = self.head(self.pyramid(self.encoder(x).last))
        size = (x.shape[-2], x.shape[-1])
        return F.interpolate(scores, size=size, mode="bilinear", align_corners=True)


class AuxiliaryHead(nn.Sequential):
    """Scores from the third stage of the encoder, for the second loss in training.

    Args:
        encoder: of the network in training.
        classes: number of output channels.
    """

    def __init__(self, encoder: ResNet, classes: int) -> None:
        inputs = encoder.channels.stage3
        inner = min(AUXILIARY, inputs)
        super().__init__(
            _convolution(inputs, inner, 3), nn.Dropout2d(0.1), nn.Conv2d(inner, classes, 1)
        )


def _convolution(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False),
            norm=nn.BatchNorm2d(outputs),
            relu=nn.ReLU(inplace=True),
        )
    )


def build_pspnet(classes: ClassSet, depth: int, width: float = 1.0) -> PSPNet:
    """Build a PSPNet with one output channel per class, weights random."""
    return PSPNet(len(classes), depth, width)
