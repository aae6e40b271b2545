"""DeepLab v3 (Chen et al. 2017, arXiv:1706.05587) and v3+ (Chen et al. ECCV 2018).

Version 3 is a dilated encoder, atrous spatial pyramid pooling (ASPP) with image-level features,
a 3x3 convolution and a classifier, upsampled to the picture. The paper's rates 6, 12 and 18
belong to output stride 16 and are doubled at 8. Version 3+ refines the result with early features
before the classifier.

The names inside ``encoder`` (torchvision's ``backbone``) and ``head`` (its ``classifier``) of the
ResNet forms are those of torchvision's ``deeplabv3_resnet50`` and ``_resnet101``, shapes too.

Deviations: the 3x3 convolution between ASPP and the classifier is torchvision's; the paper has a
1x1 convolution after the concatenation (here, too: ASPP's ``project``) and the classifier next.
ASPP's branches are concatenated and projected, where version 2 summed scores; a 1x1 convolution of
a concatenation is a sum as well, of the branches' own 1x1 convolutions. Multi-grid is an option of
the builder (``multi_grid``, the paper's best is 1, 2, 4), off by default, since torchvision's
weights were trained without. The first block of a dilated stage keeps the dilation before it,
as torchvision's. The ``lite`` forms are ours: EfficientNet-Lite0 and narrower heads, for small
boards, or -Lite2 (``lite2``) for larger ones; their v3+ has two skips (strides 8 and 4), the
paper one (stride 4); their v3 has output stride 8 by default, since 16 costs 5 points on CamVid
(``docs/experiments.md``); ``deeplab_v3_cut5`` keeps the first five stages of that encoder. Logits
are upsampled with half-pixel centres (``align_corners=False``), as torchvision does; the first
TensorFlow release aligned corners.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.aspp import ASPP
from models.blocks import ConvNormReLU
from models.classes import ClassSet
from models.efficientnet_lite import STAGES, EfficientNetLite0, EfficientNetLite2
from models.resnet import ResNet
from models.upsampling import resized

#: Dilation of the three 3x3 branches, by output stride of the encoder.
RATES = {16: (6, 12, 18), 8: (12, 24, 36)}

#: Dropout of ASPP in the lite forms: low, since training leaves them underfitted rather than
#: overfitted (``docs/experiments.md``).
LITE_DROPOUT = 0.1


class DeepLabV3(nn.Module):
    """DeepLab v3 on any encoder that returns ``last``, its coarsest map.

    Args:
        encoder: dilated network.
        classes: number of output channels.
        channels: of the ASPP branches and of the 3x3 convolution; the paper has 256.
        output_stride: of the encoder, 16 or 8.
        dropout: share of ASPP's values dropped in training; torchvision has 0.5.
    """

    def __init__(
        self,
        encoder: ResNet | EfficientNetLite0,
        classes: int,
        channels: int,
        output_stride: int,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Sequential(
            ASPP(encoder.channels.last, channels, RATES[output_stride], dropout),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, classes, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 3, H, W) normalised pictures to (N, classes, H, W) logits."""
        return resized(self.head(self.encoder(x).last), x)


class DeepLabV3Plus(nn.Module):
    """DeepLab v3+ with skips from the maps of strides 8 and 4.

    Args:
        encoder: dilated network.
        classes: number of output channels.
        channels: of ASPP and of the decoder's two steps.
        skips: channels that 1x1 convolutions reduce the maps of strides 8 and 4 to; few, so that
            they do not outweigh the context (section 3.2).
    """

    def __init__(
        self,
        encoder: EfficientNetLite0,
        classes: int,
        channels: tuple[int, int, int],
        skips: tuple[int, int],
    ) -> None:
        super().__init__()
        context, middle, fine = channels
        self.encoder = encoder
        self.aspp = ASPP(encoder.channels.last, context, RATES[16], LITE_DROPOUT)
        self.skip8 = ConvNormReLU(encoder.channels.stride8, skips[0], kernel=1)
        self.skip4 = ConvNormReLU(encoder.channels.stride4, skips[1], kernel=1)
        self.decoder = nn.ModuleList(
            [
                ConvNormReLU(context + skips[0], middle),
                nn.Sequential(ConvNormReLU(middle + skips[1], fine), ConvNormReLU(fine, fine)),
            ]
        )
        self.classifier = nn.Conv2d(fine, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 3, H, W) normalised pictures to (N, classes, H, W) logits."""
        maps = self.encoder(x)
        y = self.aspp(maps.last)
        for stage, skip in zip(
            self.decoder, (self.skip8(maps.stride8), self.skip4(maps.stride4)), strict=True
        ):
            y = stage(torch.cat([resized(y, skip), skip], 1))
        return resized(self.classifier(y), x)


def build_deeplab_v3_resnet(
    classes: ClassSet,
    depth: int,
    output_stride: int = 16,
    width: float = 1.0,
    multi_grid: Sequence[int] | None = None,
) -> DeepLabV3:
    """Build DeepLab v3 on a ResNet.

    Args:
        classes: one output channel each.
        depth: 50 or 101.
        output_stride: of the encoder, 8 or 16.
        width: factor on all channels.
        multi_grid: as for :class:`models.resnet.ResNet`.
    """
    encoder = ResNet(depth, output_stride, width, multi_grid=multi_grid)
    return DeepLabV3(encoder, len(classes), round(256 * width), output_stride)


def build_deeplab_v3_lite(
    classes: ClassSet, output_stride: int = 8, stages: int = len(STAGES), width: float = 1.0
) -> DeepLabV3:
    """Build DeepLab v3 on EfficientNet-Lite0.

    Args:
        classes: one output channel each.
        output_stride: of the encoder, 8 or 16.
        stages: of the encoder that are kept.
        width: factor on the head's channels.
    """
    encoder = EfficientNetLite0(output_stride, stages)
    return DeepLabV3(encoder, len(classes), round(128 * width), output_stride, dropout=LITE_DROPOUT)


def build_deeplab_v3plus_lite(
    classes: ClassSet, lite: int = 0, width: float = 1.0
) -> DeepLabV3Plus:
    """Build DeepLab v3+ on an EfficientNet-Lite.

    Args:
        classes: one output channel each.
        lite: 0 or 2, which of them.
        width: factor on the channels of head and decoder.
    """
    context, middle, fine, skip8, skip4 = (round(c * width) for c in (128, 96, 64, 48, 24))
    encoder = (EfficientNetLite2 if lite == 2 else EfficientNetLite0)(output_stride=16)
    return DeepLabV3Plus(encoder, len(classes), (context, middle, fine), (skip8, skip4))
