"""DeepLab v1, "LargeFOV" (Chen et al., ICLR 2015, arXiv:1412.7062).

VGG16 with 3x3 poolings, the last two at stride 1, and conv5 dilated by 2, which leaves output
stride 8; a 3x3 average pooling; fc6 as 3x3 with dilation 12 and 1024 channels, fc7 1x1, score,
bilinear upsampling by 8. 20.5 M parameters (Table 2, DeepLab-CRF-LargeFOV).

The fully connected CRF of the paper is not part of the network or the engine: it is an iterative
post-processing of the picture and the scores, and costs more than the network does.

Deviations: at even sizes poolings floor, as PyTorch does, where Caffe makes one row more; the paper
trains at sizes 8 k + 1, at which both agree. The resize aligns corners, as Caffe's ``Interp`` does.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from models.blocks import ConvReLU
from models.classes import ClassSet
from models.vgg import VGG16, Pool, scaled_channels

#: Poolings and dilations of DeepLab's VGG16, v1 and v2.
POOLS = (Pool(3, 2), Pool(3, 2), Pool(3, 2), Pool(3, 1), Pool(3, 1))
DILATIONS = (1, 1, 1, 1, 2)

#: Channels of fc6 and fc7.
FULLY_CONNECTED = 1024

#: Dilation of fc6.
RATE = 12


class DeepLabV1(nn.Module):
    """DeepLab LargeFOV at ``width`` times the paper's channels.

    Args:
        classes: number of output channels.
        width: 1.0 is the paper's network.
    """

    def __init__(self, classes: int, width: float = 1.0) -> None:
        super().__init__()
        fully = round(FULLY_CONNECTED * width)
        self.encoder = VGG16(POOLS, DILATIONS, width)
        self.pool = nn.AvgPool2d(3, 1, 1)
        self.fc6 = ConvReLU(scaled_channels(width)[-1], fully, dilation=RATE)
        self.fc7 = ConvReLU(fully, fully, kernel=1)
        self.dropout = nn.Dropout(0.5)
        self.score = nn.Conv2d(fully, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 3, H, W) normalised pictures to (N, classes, H, W) logits."""
        y = self.pool(self.encoder(x)[-1])
        y = self.dropout(self.fc6(y))
        y = self.score(self.dropout(self.fc7(y)))
        size = (x.shape[-2], x.shape[-1])
        return F.interpolate(y, size=size, mode="bilinear", align_corners=True)


def build_deeplab_v1(classes: ClassSet, width: float = 1.0) -> DeepLabV1:
    """Build a DeepLab v1 with one output channel per class, weights random."""
    return DeepLabV1(len(classes), width)
