"""DeepLab v1, "LargeFOV" (Chen et al., ICLR 2015, arXiv:1412.7062).

VGG16 with 3x3 poolings, the last two at stride 1, and conv5 dilated by 2, which leaves output
stride 8; a 3x3 average pooling; fc6 as 3x3 with dilation 12 and 1024 channels, fc7 1x1, score,
bilinear upsampling by 8. 20.5 M parameters (Table 2, DeepLab-CRF-LargeFOV).

The fully connected CRF of the paper is not part of the network or the engine: it is an iterative
post-processing of the picture and the scores, and costs more than the network.

Deviations: at even sizes poolings floor, as PyTorch does, where Caffe makes one row more; the paper
trains at sizes 8 k + 1, at which both agree. VGG16's fc6 and fc7 are decimated to the smaller ones
as in the paper (:func:`models.vgg.load_vgg16_decimated`) where a file has them, else these start
from random weights. The resize aligns corners, as Caffe's ``Interp`` does.
``deeplab_v1_lite`` is ours, for small boards: the first five stages of EfficientNet-Lite0, fc6 and
fc7 of 256 channels with batch norm instead of dropout.
"""

from __future__ import annotations

from torch import Tensor, nn

from models.blocks import ConvNormReLU, ConvReLU, FullyConnected
from models.classes import ClassSet
from models.efficientnet_lite import CUT_STAGES, EfficientNetLite0
from models.upsampling import resized
from models.vgg import VGG16, Pool, scaled_channels

#: Poolings and dilations of DeepLab's VGG16, v1 and v2.
POOLS = (Pool(3, 2), Pool(3, 2), Pool(3, 2), Pool(3, 1), Pool(3, 1))
DILATIONS = (1, 1, 1, 1, 2)

#: Channels of fc6 and fc7, in the paper and in the lite form.
FULLY_CONNECTED, LITE_FULLY_CONNECTED = 1024, 256

#: Dilation of fc6.
RATE = 12


class DeepLabV1(nn.Module):
    """DeepLab LargeFOV.

    Args:
        encoder: dilated network whose last map is read, at output stride 8.
        fully: fc6 and fc7, which keep the size of a map.
        classes: number of output channels.
        dropout: share of values dropped after fc6 and fc7 in training.
    """

    def __init__(
        self,
        encoder: VGG16 | EfficientNetLite0,
        fully: FullyConnected,
        classes: int,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.pool = nn.AvgPool2d(3, 1, 1)
        self.fc6, self.fc7 = fully
        self.dropout = nn.Dropout(dropout)
        self.score = nn.Conv2d(self.fc7.conv.out_channels, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 3, H, W) normalised pictures to (N, classes, H, W) logits."""
        y = self.pool(self.encoder(x)[-1])
        y = self.dropout(self.fc6(y))
        y = self.score(self.dropout(self.fc7(y)))
        return resized(y, x, align_corners=True)


def build_deeplab_v1(classes: ClassSet, width: float = 1.0) -> DeepLabV1:
    """Build the VGG16 form, weights random; ``width`` is a factor on all channels."""
    inputs, inner = scaled_channels(width)[-1], round(FULLY_CONNECTED * width)
    fully = ConvReLU(inputs, inner, dilation=RATE), ConvReLU(inner, inner, kernel=1)
    return DeepLabV1(VGG16(POOLS, DILATIONS, width), fully, len(classes))


def build_deeplab_v1_lite(classes: ClassSet, width: float = 1.0) -> DeepLabV1:
    """Build the EfficientNet form, weights random; ``width`` is a factor on all channels."""
    encoder = EfficientNetLite0(output_stride=8, stages=CUT_STAGES, width=width)
    inputs, inner = encoder.channels.last, round(LITE_FULLY_CONNECTED * width)
    fully = ConvNormReLU(inputs, inner, dilation=RATE), ConvNormReLU(inner, inner, kernel=1)
    return DeepLabV1(encoder, fully, len(classes), dropout=0.0)
