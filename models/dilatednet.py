"""DilatedNet: front end and context module (Yu and Koltun, ICLR 2016, arXiv:1511.07122).

The front end is VGG16 without its last two poolings: conv5 is dilated by 2 and fc6 (7x7) by 4
instead, so the field of view stays and the output stride is 8. The basic context module then
widens the field of the class scores only: 3x3 convolutions with growing dilation and a 1x1, as
many channels as classes, initialised as the identity (section 3), so that it can only refine.
A transposed convolution that is bilinear interpolation and does not learn, as in the release,
brings the scores to the picture.

The form with a dilation of 16 is the one that the paper trains on larger pictures ("context8",
Dilation8 on CamVid); ``dilatednet_context7`` stops at 8.

Deviations: convolutions are padded with zeros where the authors' network reflects the picture by
a margin and pads nothing. The release's transposed convolution is grouped, one kernel a class; here
it is a full one that is zero between classes, which computes the same. Front end and context train
together, or one after the other as in the paper: ``train dilatednet_context --weights`` takes those
of ``dilatednet_frontend``.
``dilatednet_lite`` is ours, for small boards: the first five stages of EfficientNet-Lite0, fc6 and
fc7 of 128 channels with batch norm instead of dropout; its transposed convolution learns.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.blocks import ConvNormReLU, ConvReLU, FullyConnected
from models.classes import ClassSet
from models.efficientnet_lite import CUT_STAGES, EfficientNetLite0
from models.upsampling import BilinearUpsampling
from models.vgg import FULLY_CONNECTED, HALVED, VGG16, scaled_channels

#: Side of fc6's kernel, and its dilation.
KERNEL, RATE = 7, 4

#: Channels of fc6 and fc7 in the lite form.
LITE_FULLY_CONNECTED = 128


class ContextModule(nn.Sequential):
    """3x3 convolutions with the given dilations and a 1x1, all of them starting as identities."""

    def __init__(self, classes: int, dilations: Sequence[int]) -> None:
        layers: list[nn.Module] = [
            ConvReLU(classes, classes, dilation=dilation) for dilation in dilations
        ]
        super().__init__(*layers, nn.Conv2d(classes, classes, 1))
        with torch.no_grad():
            for module in self.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.dirac_(module.weight)
                    nn.init.zeros_(module.bias)  # type: ignore[arg-type]  # it has a bias here


class DilatedNet(nn.Module):
    """DilatedNet, with or without context module.

    Args:
        encoder: dilated network whose last map is read, at output stride 8.
        fully: fc6 and fc7, which keep the size of a map.
        classes: number of output channels.
        dilations: of the context module's 3x3 convolutions; none leaves the front end alone.
        dropout: share of values dropped after fc6 and fc7 in training.
    """

    def __init__(
        self,
        encoder: VGG16 | EfficientNetLite0,
        fully: FullyConnected,
        classes: int,
        dilations: Sequence[int] = (),
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.fc6, self.fc7 = fully
        self.dropout = nn.Dropout(dropout)
        self.score = nn.Conv2d(self.fc7.conv.out_channels, classes, 1)
        self.context: nn.Module = ContextModule(classes, dilations) if dilations else nn.Identity()
        self.upsampling = BilinearUpsampling(classes, 8)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 3, H, W) normalised pictures to (N, classes, H, W) logits."""
        y = self.dropout(self.fc6(self.encoder(x)[-1]))
        y = self.context(self.score(self.dropout(self.fc7(y))))
        logits: Tensor = self.upsampling(y, x)
        return logits


def build_dilatednet(
    classes: ClassSet, dilations: Sequence[int] = (), width: float = 1.0
) -> DilatedNet:
    """Build the VGG16 form, weights random; ``width`` is a factor on all channels."""
    encoder = VGG16((HALVED, HALVED, HALVED, None, None), (1, 1, 1, 1, 2), width)
    inputs, inner = scaled_channels(width)[-1], round(FULLY_CONNECTED * width)
    fully = ConvReLU(inputs, inner, KERNEL, RATE), ConvReLU(inner, inner, kernel=1)
    network = DilatedNet(encoder, fully, len(classes), dilations)
    network.upsampling.requires_grad_(False)
    return network


def build_dilatednet_lite(
    classes: ClassSet, dilations: Sequence[int], width: float = 1.0
) -> DilatedNet:
    """Build the EfficientNet form, weights random; ``width`` is a factor on all channels."""
    encoder = EfficientNetLite0(output_stride=8, stages=CUT_STAGES, width=width)
    inputs, inner = encoder.channels.last, round(LITE_FULLY_CONNECTED * width)
    fully = ConvNormReLU(inputs, inner, KERNEL, RATE), ConvNormReLU(inner, inner, kernel=1)
    return DilatedNet(encoder, fully, len(classes), dilations, dropout=0.0)
