"""U-Net (Ronneberger, Fischer and Brox, MICCAI 2015, arXiv:1505.04597).

Two 3x3 convolutions per level, 64 to 1024 channels over four 2x2 poolings, and the same way up:
2x2 transposed convolution, concatenation with the encoder's map, two 3x3 convolutions. Dropout at
the end of the contracting path, a 1x1 classifier, no batch norm. As in the authors' release: a ReLU
after each transposed convolution, and dropout after the fourth and the fifth level. Weights start
as in section 3: normal, with variance 2 / N for N incoming values.

Deviations: convolutions are padded, so the output has the picture's size (the paper's lose a
border, tile the picture and crop the skips). Poolings keep odd last rows and columns, and the way
up crops what is too large. The paper starts from random weights; its first four levels have the
shapes of VGG16's, so they may start from its weights (as Iglovikov and Shvets 2018,
arXiv:1801.05746, do with VGG11). ``unet_lite`` is ours, for small boards: EfficientNet-Lite0 on the
way down, batch norm on the way up, which ends at stride 2.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.blocks import ConvNormReLU, ConvReLU
from models.classes import ClassSet
from models.efficientnet_lite import EfficientNetLite0
from models.pooling import ceil_max_pool
from models.upsampling import BilinearUpsampling, cropped

#: Channels of the four levels and of the bottom.
CHANNELS = (64, 128, 256, 512, 1024)

#: Number of the deepest levels of the contracting path that end in dropout.
_DROPPED = 2

#: Channels on the way up in the lite form, at strides 16, 8, 4 and 2.
LITE_CHANNELS = (128, 64, 48, 32)


class UNet(nn.Module):
    """U-Net at ``width`` times the paper's channels.

    Args:
        classes: number of output channels.
        width: 1.0 is the paper's network.
    """

    def __init__(self, classes: int, width: float = 1.0) -> None:
        super().__init__()
        channels = [round(c * width) for c in CHANNELS]
        self.encoder = nn.ModuleList(
            _level(inputs, outputs)
            for inputs, outputs in zip([3, *channels[:-1]], channels, strict=True)
        )
        self.dropout = nn.Dropout(0.5)
        self.upsamplings, self.decoder = nn.ModuleList(), nn.ModuleList()
        for below, level in zip(channels[:0:-1], channels[-2::-1], strict=True):
            self.upsamplings.append(nn.ConvTranspose2d(below, level, 2, 2))
            self.decoder.append(_level(2 * level, level))
        self.classifier = nn.Conv2d(channels[0], classes, 1)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                _start_as_the_paper(module)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 3, H, W) normalised pictures to (N, classes, H, W) logits."""
        skips: list[Tensor] = []
        for number, level in enumerate(self.encoder):
            x = level(ceil_max_pool(x) if skips else x)
            if number >= len(self.encoder) - _DROPPED:
                x = self.dropout(x)
            skips.append(x)
        x = skips.pop()
        for upsampling, level in zip(self.upsamplings, self.decoder, strict=True):
            skip = skips.pop()
            x = level(torch.cat([skip, cropped(upsampling(x).relu(), skip)], 1))
        logits: Tensor = self.classifier(x)
        return logits


def _start_as_the_paper(layer: nn.Conv2d | nn.ConvTranspose2d) -> None:
    incoming = layer.weight[0].numel()
    if isinstance(layer, nn.ConvTranspose2d):  # its taps do not overlap, one reaches each pixel
        incoming = layer.in_channels
    nn.init.normal_(layer.weight, std=(2 / incoming) ** 0.5)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # it has a bias here


class UNetLite(nn.Module):
    """U-Net's way up on an encoder with maps of strides 2 to 32.

    Args:
        encoder: the way down.
        channels: of the levels at strides 16, 8, 4 and 2.
        classes: number of output channels.
    """

    def __init__(self, encoder: EfficientNetLite0, channels: Sequence[int], classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        *skips, below = encoder.channels
        self.upsamplings, self.decoder = nn.ModuleList(), nn.ModuleList()
        for skip, level in zip(reversed(skips), channels, strict=True):
            self.upsamplings.append(nn.ConvTranspose2d(below, level, 2, 2))
            self.decoder.append(
                nn.Sequential(ConvNormReLU(skip + level, level), ConvNormReLU(level, level))
            )
            below = level
        self.classifier = nn.Conv2d(below, classes, 1)
        self.upsampling = BilinearUpsampling(classes, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 3, H, W) normalised pictures to (N, classes, H, W) logits."""
        *skips, y = self.encoder(x)
        for upsampling, level in zip(self.upsamplings, self.decoder, strict=True):
            skip = skips.pop()
            y = level(torch.cat([skip, cropped(upsampling(y), skip)], 1))
        logits: Tensor = self.upsampling(self.classifier(y), x)
        return logits


def _level(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(ConvReLU(inputs, outputs), ConvReLU(outputs, outputs))


def build_unet(classes: ClassSet, width: float = 1.0) -> UNet:
    """Build a U-Net with one output channel per class, weights random."""
    return UNet(len(classes), width)


def build_unet_lite(classes: ClassSet, width: float = 1.0) -> UNetLite:
    """Build the EfficientNet form, weights random; ``width`` is a factor on all channels."""
    channels = [round(c * width) for c in LITE_CHANNELS]
    return UNetLite(EfficientNetLite0(width=width), channels, len(classes))
