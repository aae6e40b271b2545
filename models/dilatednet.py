"""DilatedNet: front end and context module (Yu and Koltun, ICLR 2016, arXiv:1511.07122).

The front end is VGG16 without its last two poolings: conv5 is dilated by 2 and fc6 (7x7) by 4
instead, so the field of view stays and the output stride is 8. The basic context module then
widens the field on the class scores alone: 3x3 convolutions with growing dilation and a 1x1, as
many channels as classes, started as the identity (section 3), so that it can only refine.
A transposed convolution that starts as bilinear interpolation brings the scores to the picture.

The form with a dilation of 16 is the one that the paper trains on larger pictures ("context8",
Dilation8 on CamVid); ``dilatednet_context7`` stops at 8.

Deviations: convolutions are padded with zeros where the authors' network reflects the picture by
a margin and pads nothing. Front end and context train together or one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.blocks import ConvReLU
from models.classes import ClassSet
from models.upsampling import BilinearUpsampling
from models.vgg import FULLY_CONNECTED, HALVED, VGG16, scaled_channels


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
        classes: number of output channels.
        dilations: of the context module's 3x3 convolutions; none leaves the front end alone.
        width: factor on every channel count; 1.0 is the paper's network.
    """

    def __init__(self, classes: int, dilations: Sequence[int] = (), width: float = 1.0) -> None:
        super().__init__()
        fully = round(FULLY_CONNECTED * width)
        self.encoder = VGG16((HALVED, HALVED, HALVED, None, None), (1, 1, 1, 1, 2), width)
        self.fc6 = ConvReLU(scaled_channels(width)[-1], fully, kernel=7, dilation=4)
        self.fc7 = ConvReLU(fully, fully, kernel=1)
        self.dropout = nn.Dropout(0.5)
        self.score = nn.Conv2d(fully, classes, 1)
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
    """Build a DilatedNet with one output channel per class, weights random."""
    return DilatedNet(len(classes), dilations, width)
