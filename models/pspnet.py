"""PSPNet (Zhao et al., CVPR 2017, arXiv:1612.01105).

ResNet-50 or -101 at output stride 8; pyramid pooling into 1, 2, 3 and 6 bins a side, each reduced
to a quarter of the channels by a 1x1 convolution, resized bilinearly and concatenated with the
encoder's map; a 3x3 convolution to 512 channels, dropout 0.1, a 1x1 classifier. Corners are aligned
in every resize, as Caffe's ``Interp`` does. An auxiliary head on the encoder's third stage helps
training (loss weight 0.4) and is no part of the network: :class:`AuxiliaryHead`.

Deviations: the ResNet is torchvision's, dilated as the release's: every block of its last two
stages; the release has three 3x3 convolutions where it has one 7x7. A level has a quarter of the
channels, N / 4, as in the paper; lectures draw one channel for each. ``pspnet_lite`` is ours:
EfficientNet-Lite0 and a head of 128 channels, for small boards, the same encoder and width as
``deeplab_v3_lite``, so that the two ways to take in the whole picture can be compared;
``pspnet_cut5`` keeps the first five stages of that encoder.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from models.classes import ClassSet
from models.efficientnet_lite import STAGES, EfficientNetLite0
from models.pooling import adaptive_average_pool
from models.resnet import ResNet
from models.upsampling import resized

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
        maps = [x]
        for level, bins in zip(self.levels, BINS, strict=True):
            mean = level(adaptive_average_pool(x, bins))
            maps.append(resized(mean, x, align_corners=True))
        return torch.cat(maps, 1)


class PSPNet(nn.Module):
    """PSPNet on any encoder that hands on ``last``, its coarsest map.

    Args:
        encoder: dilated network of output stride 8.
        classes: number of output channels.
        channels: of the head's 3x3 convolution.
    """

    def __init__(
        self, encoder: ResNet | EfficientNetLite0, classes: int, channels: int = HEAD
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.pyramid = PyramidPooling(encoder.channels.last)
        self.head = nn.Sequential(
            _convolution(2 * encoder.channels.last, channels, 3),
            nn.Dropout(0.1),
            nn.Conv2d(channels, classes, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 3, H, W) normalised pictures to (N, classes, H, W) logits."""
        scores = self.head(self.pyramid(self.encoder(x).last))
        return resized(scores, x, align_corners=True)


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
            _convolution(inputs, inner, 3), nn.Dropout(0.1), nn.Conv2d(inner, classes, 1)
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
    """Build a PSPNet on ResNet-50 or ResNet-101; ``width`` is a factor on all channels."""
    encoder = ResNet(depth, output_stride=8, width=width, dilate_first=True)
    return PSPNet(encoder, len(classes), round(HEAD * width))


def build_pspnet_lite(classes: ClassSet, stages: int = len(STAGES), width: float = 1.0) -> PSPNet:
    """Build a PSPNet on EfficientNet-Lite0.

    Args:
        classes: one output channel each.
        stages: of the encoder that are kept.
        width: factor on the head's channels.
    """
    encoder = EfficientNetLite0(output_stride=8, stages=stages)
    return PSPNet(encoder, len(classes), round(128 * width))
