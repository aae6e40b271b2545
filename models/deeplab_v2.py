"""DeepLab v2 (Chen et al., PAMI 2018, arXiv:1606.00915).

Atrous spatial pyramid pooling: four parallel branches with dilations 6, 12, 18 and 24 whose scores
are summed. On VGG16 (dilated as in v1) each branch is fc6 (3x3, 1024 channels), fc7 (1x1) and a
score layer; on ResNet-101 at output stride 8 a branch is one 3x3 convolution straight to scores.
The scores are resized to the picture with corners aligned, as Caffe's ``Interp`` does.

Deviations: one scale (the paper adds the maximum over three scales of the picture), no CRF. The
ResNet is torchvision's (stride in the 3x3 convolution of a bottleneck), dilated as the release's:
every block of its last two stages. VGG16's fully connected layers are decimated into each branch's
fc6 and fc7 where a file has them (:func:`models.vgg.load_vgg16_decimated`), else these start from
random weights. ``deeplab_v2_lite`` is
ours, for small boards: the ResNet form's branches on the first five stages of EfficientNet-Lite0,
at output stride 8.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn

from models.blocks import ConvReLU
from models.classes import ClassSet
from models.deeplab_v1 import DILATIONS, FULLY_CONNECTED, POOLS
from models.efficientnet_lite import CUT_STAGES, EfficientNetLite0
from models.resnet import ResNet
from models.upsampling import resized
from models.vgg import VGG16, scaled_channels

#: Dilations of the four branches ("ASPP-L").
RATES = (6, 12, 18, 24)


class DeepLabV2(nn.Module):
    """DeepLab v2: an encoder and branches whose scores are summed.

    Args:
        encoder: dilated network whose last map the branches read.
        branches: each maps that map to scores.
    """

    def __init__(
        self, encoder: VGG16 | ResNet | EfficientNetLite0, branches: Iterable[nn.Module]
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 3, H, W) normalised pictures to (N, classes, H, W) logits."""
        features = self.encoder(x)[-1]
        first, *others = (branch(features) for branch in self.branches)
        scores: Tensor = sum(others, start=first)
        return resized(scores, x, align_corners=True)


def build_deeplab_v2_vgg16(classes: ClassSet, width: float = 1.0) -> DeepLabV2:
    """Build the VGG16 form, weights random; ``width`` is a factor on all channels."""
    inputs, fully = scaled_channels(width)[-1], round(FULLY_CONNECTED * width)
    branches = (
        nn.Sequential(
            ConvReLU(inputs, fully, dilation=rate),
            nn.Dropout(0.5),
            ConvReLU(fully, fully, kernel=1),
            nn.Dropout(0.5),
            nn.Conv2d(fully, len(classes), 1),
        )
        for rate in RATES
    )
    return DeepLabV2(VGG16(POOLS, DILATIONS, width), branches)


def build_deeplab_v2_resnet(classes: ClassSet, depth: int, width: float = 1.0) -> DeepLabV2:
    """Build the ResNet form, weights random; ``width`` is a factor on all channels."""
    encoder = ResNet(depth, output_stride=8, width=width, dilate_first=True)
    return DeepLabV2(encoder, _score_layers(encoder.channels.last, classes))


def build_deeplab_v2_lite(classes: ClassSet, width: float = 1.0) -> DeepLabV2:
    """Build the EfficientNet form, weights random; ``width`` is a factor on all channels."""
    encoder = EfficientNetLite0(output_stride=8, stages=CUT_STAGES, width=width)
    return DeepLabV2(encoder, _score_layers(encoder.channels.last, classes))


def _score_layers(inputs: int, classes: ClassSet) -> list[nn.Conv2d]:
    return [nn.Conv2d(inputs, len(classes), 3, padding=rate, dilation=rate) for rate in RATES]
