"""FCN-32s, FCN-16s and FCN-8s (Long, Shelhamer and Darrell, CVPR 2015, arXiv:1411.4038).

VGG16 whose fully connected layers became convolutions (fc6 7x7, fc7 1x1, 4096 channels each), a
1x1 score layer, and transposed convolutions that start as bilinear interpolation. FCN-16s adds a
score of pool4 at stride 16 before the last upsampling, FCN-8s one of pool3 as well. 134 M
parameters (the paper's Table 1).

Deviations: the Caffe network pads the picture by 100 pixels and crops, which makes the coarse map
larger and shifts the crops; here fc6 is padded by 3, so every map lies over the picture. As in the
release, score layers start at zero and the transposed convolutions stay what they start as (the
paper lets those between skips learn). FCN-16s continues from FCN-32s and FCN-8s from FCN-16s, as in
the paper, if ``train --weights`` names those weights; else all start from VGG16.
``fcn8s_lite`` is ours, for small boards: EfficientNet-Lite0 at output stride 32, fc6 of 3x3, 256
channels with batch norm instead of dropout; its transposed convolutions learn.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from models.blocks import ConvNormReLU, ConvReLU, FullyConnected
from models.classes import ClassSet
from models.efficientnet_lite import EfficientNetLite0
from models.upsampling import BilinearUpsampling
from models.vgg import FULLY_CONNECTED, VGG16, scaled_channels

#: Channels of fc6 and fc7 in the lite form.
LITE_FULLY_CONNECTED = 256


class FCN(nn.Module):
    """FCN with skips down to ``stride``.

    Args:
        encoder: returns maps, the last three of strides 8, 16 and 32.
        channels: of these three.
        fully: fc6 and fc7, which keep the size of a map.
        classes: number of output channels.
        stride: 32, 16 or 8: that of the finest score layer.
        dropout: share of values dropped after fc6 and fc7 in training.
    """

    def __init__(
        self,
        encoder: VGG16 | EfficientNetLite0,
        channels: Sequence[int],
        fully: FullyConnected,
        classes: int,
        stride: int,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.fc6, self.fc7 = fully
        self.dropout = nn.Dropout(dropout)
        self.score = nn.Conv2d(self.fc7.conv.out_channels, classes, 1)
        pool3, pool4, _ = channels
        skips = {32: [], 16: [pool4], 8: [pool4, pool3]}[stride]  # coarsest first
        self.skip_scores = nn.ModuleList(_zero_score(inputs, classes) for inputs in skips)
        self.skip_upsamplings = nn.ModuleList(BilinearUpsampling(classes, 2) for _ in skips)
        self.upsampling = BilinearUpsampling(classes, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 3, H, W) normalised pictures to (N, classes, H, W) logits."""
        *earlier, last = self.encoder(x)
        y = self.dropout(self.fc6(last))
        y = self.score(self.dropout(self.fc7(y)))
        for score, upsampling in zip(self.skip_scores, self.skip_upsamplings, strict=True):
            skip = score(earlier.pop())
            y = upsampling(y, skip) + skip
        logits: Tensor = self.upsampling(y, x)
        return logits


def _zero_score(inputs: int, classes: int) -> nn.Conv2d:
    score = nn.Conv2d(inputs, classes, 1)
    _start_at_zero(score)
    return score


def _start_at_zero(score: nn.Conv2d) -> None:
    nn.init.zeros_(score.weight)
    nn.init.zeros_(score.bias)  # type: ignore[arg-type]  # Conv2d has a bias here


def build_fcn(classes: ClassSet, stride: int, width: float = 1.0) -> FCN:
    """Build the VGG16 form, weights random; ``width`` is a factor on all channels."""
    channels, inner = scaled_channels(width)[-3:], round(FULLY_CONNECTED * width)
    fully = ConvReLU(channels[-1], inner, kernel=7), ConvReLU(inner, inner, kernel=1)
    network = FCN(VGG16(width=width), channels, fully, len(classes), stride)
    _start_at_zero(network.score)
    network.upsampling.requires_grad_(False)
    network.skip_upsamplings.requires_grad_(False)
    return network


def build_fcn8s_lite(classes: ClassSet, width: float = 1.0) -> FCN:
    """Build the EfficientNet form, weights random; ``width`` is a factor on all channels."""
    encoder, inner = EfficientNetLite0(width=width), round(LITE_FULLY_CONNECTED * width)
    fully = ConvNormReLU(encoder.channels.last, inner), ConvNormReLU(inner, inner, kernel=1)
    return FCN(encoder, encoder.channels[-3:], fully, len(classes), stride=8, dropout=0.0)
