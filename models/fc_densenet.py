"""FC-DenseNet56, 67 and 103, "the hundred layers tiramisu" (Jegou et al. 2017, arXiv:1611.09326).

Dense blocks on the way down, at the bottom and on the way up, and three kinds of concatenation:
inside a dense block every layer reads all earlier outputs; on the way down a block's output is
joined to its input; on the way up the upsampled map is joined to the encoder's. Only the features
that the block below *added* are upsampled, else their number would grow too fast. 1.5, 3.5 and
9.4 M parameters (Table 3), the paper's own initialisation (He uniform) in every layer, dropout 0.2.

Deviations: none in the network. The authors' code scores with the statistics of the batch in batch
norms; here they are the running ones, which an engine folds into its weights. Odd sizes are floored
when pooled, as the paper's Lasagne did, and the transposed convolution's result is cut to the
encoder's size from the top left (the paper: centred, which differs by less than a pixel).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.classes import ClassSet
from models.upsampling import cropped

#: Filters of the first convolution.
FIRST = 48

_DROPOUT = 0.2


class DenseLayer(nn.Sequential):
    """Batch norm, ReLU, convolution, dropout, in this order."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3) -> None:
        super().__init__(
            OrderedDict(
                norm=nn.BatchNorm2d(inputs),
                relu=nn.ReLU(inplace=True),
                conv=_convolution(inputs, outputs, kernel),
                dropout=nn.Dropout(_DROPOUT),
            )
        )


class DenseBlock(nn.ModuleList):
    """Layers that each see the block's input and all outputs before their own."""

    def __init__(self, inputs: int, layers: int, growth: int) -> None:
        super().__init__(DenseLayer(inputs + i * growth, growth) for i in range(layers))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (N, C, H, W) to what was added, (N, layers * growth, H, W), and to all of it."""
        added: list[Tensor] = []
        for layer in self:
            added.append(layer(torch.cat([x, *added], 1)))
        new = torch.cat(added, 1)
        return new, torch.cat([x, new], 1)


class FCDenseNet(nn.Module):
    """FC-DenseNet.

    Args:
        classes: number of output channels.
        layers: of each dense block down, of the bottom, of each up.
        growth: channels that a layer adds.
        first: filters of the first convolution.
    """

    def __init__(
        self, classes: int, layers: Sequence[int], growth: int, first: int = FIRST
    ) -> None:
        super().__init__()
        half = len(layers) // 2
        self.first = _convolution(3, first, 3)
        self.encoder, self.down = nn.ModuleList(), nn.ModuleList()
        channels, skips = first, []
        for count in layers[:half]:
            self.encoder.append(DenseBlock(channels, count, growth))
            channels += count * growth
            skips.append(channels)
            self.down.append(DenseLayer(channels, channels, kernel=1))
        self.bottom = DenseBlock(channels, layers[half], growth)
        added = layers[half] * growth
        self.up, self.decoder = nn.ModuleList(), nn.ModuleList()
        for count in layers[half + 1 :]:
            self.up.append(_upsampling(added))
            channels = added + skips.pop()
            self.decoder.append(DenseBlock(channels, count, growth))
            added = count * growth
        self.classifier = _convolution(channels + added, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 3, H, W) normalised pictures to (N, classes, H, W) logits; H, W >= 32."""
        x = self.first(x)
        skips: list[Tensor] = []
        for block, down in zip(self.encoder, self.down, strict=True):
            _, everything = block(x)
            skips.append(everything)
            x = F.max_pool2d(down(everything), 2)
        new, _ = self.bottom(x)
        for up, block in zip(self.up, self.decoder, strict=True):
            skip = skips.pop()
            new, everything = block(torch.cat([cropped(up(new), skip), skip], 1))
        logits: Tensor = self.classifier(everything)
        return logits


def _convolution(inputs: int, outputs: int, kernel: int) -> nn.Conv2d:
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
    _start(convolution)
    return convolution


def _start(layer: nn.Conv2d | nn.ConvTranspose2d) -> None:
    nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # it has a bias here


def _upsampling(channels: int) -> nn.ConvTranspose2d:
    """3x3, stride 2, no padding: (2 h + 1) rows, enough for an even and for an odd encoder map."""
    deconvolution = nn.ConvTranspose2d(channels, channels, 3, 2)
    _start(deconvolution)
    return deconvolution


def build_fc_densenet(
    classes: ClassSet, layers: Sequence[int], growth: int, width: float = 1.0
) -> FCDenseNet:
    """Build an FC-DenseNet; ``width`` is a factor on the growth rate and the first filters."""
    return FCDenseNet(
        len(classes), layers, max(1, round(growth * width)), max(1, round(FIRST * width))
    )
