"""DeconvNet (Noh, Hong and Han, ICCV 2015, arXiv:1505.04366).

VGG16 with batch norm and index-keeping pooling, the fully connected layers as convolutions (fc6
7x7 without padding, fc7 1x1, 4096 channels each), and a mirrored decoder: a 7x7 transposed
convolution back to pool5, then five stages of unpooling and stride-1 transposed convolutions
(Table 2 of the paper). 252 M parameters, over 220 M more than SegNet: fc6 and its mirror have 103 M
each.

Deviations: the paper works on object proposals of 224x224 and merges them; here the network takes
the whole picture, at any size of at least 224 a side, since unpooling restores recorded sizes. It
trains in one stage, where the paper goes from pictures of single objects to all proposals. No
dropout, as in the release's training network.
``deconvnet_lite`` is ours, for small boards: a quarter of the widths, 128 channels in fc6 and fc7.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from models.blocks import ConvNormReLU
from models.classes import ClassSet
from models.unpooling import MaxPoolPhases, MaxUnpoolPhases, Pooled
from models.vgg import FULLY_CONNECTED, scaled_channels, vgg16_stages

#: Output channels of the decoder's transposed convolutions, stage by stage (Table 2).
DECODER = ((512, 512, 512), (512, 512, 256), (256, 256, 128), (128, 64), (64, 64))


class DeconvNormReLU(nn.Sequential):
    """Transposed convolution of stride 1, batch norm, ReLU.

    Args:
        inputs, outputs: channels.
        kernel: side of the kernel.
        padding: rows and columns cut off each side of the result.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, padding: int = 1) -> None:
        deconvolution = nn.ConvTranspose2d(inputs, outputs, kernel, padding=padding)
        nn.init.kaiming_normal_(deconvolution.weight, mode="fan_in", nonlinearity="relu")
        nn.init.zeros_(deconvolution.bias)  # type: ignore[arg-type]  # it has a bias here
        super().__init__(
            OrderedDict(
                deconv=deconvolution, norm=nn.BatchNorm2d(outputs), relu=nn.ReLU(inplace=True)
            )
        )


class DeconvNet(nn.Module):
    """DeconvNet at ``width`` times the paper's channels.

    Args:
        classes: number of output channels.
        width: 1.0 is the paper's network.
        fully: channels of fc6 and fc7 at width 1.
    """

    def __init__(self, classes: int, width: float = 1.0, fully: int = FULLY_CONNECTED) -> None:
        super().__init__()
        fully = round(fully * width)
        deepest = scaled_channels(width)[-1]
        self.encoder = vgg16_stages(width)
        self.pool = MaxPoolPhases()
        self.fc6 = ConvNormReLU(deepest, fully, kernel=7)
        self.fc6.conv.padding = (0, 0)
        self.fc7 = ConvNormReLU(fully, fully, kernel=1)
        self.deconv_fc6 = DeconvNormReLU(fully, deepest, kernel=7, padding=0)
        self.unpool = MaxUnpoolPhases()
        self.decoder = nn.ModuleList()
        inputs = deepest
        for stage in DECODER:
            outputs = [round(channels * width) for channels in stage]
            pairs = zip([inputs, *outputs], outputs, strict=False)
            self.decoder.append(nn.Sequential(*(DeconvNormReLU(i, o) for i, o in pairs)))
            inputs = outputs[-1]
        self.classifier = nn.Conv2d(inputs, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 3, H, W) normalised pictures to (N, classes, H, W) logits; H, W >= 224."""
        pooled: list[Pooled] = []
        for stage in self.encoder:
            pooled.append(self.pool(stage(x)))
            x = pooled[-1].values
        x = self.deconv_fc6(self.fc7(self.fc6(x)))
        for stage in self.decoder:
            x = stage(self.unpool(x, pooled.pop()))
        logits: Tensor = self.classifier(x)
        return logits

    def load_decoder(self, decoder: nn.ModuleList) -> None:
        """Fill the decoder from SegNet's of the same width, which has the same channels.

        A transposed convolution of stride 1 is a convolution whose kernel is turned by 180 degrees,
        so each of SegNet's does the same here. SegNet's last convolution is its classifier;
        DeconvNet's convolution in that place keeps its values.

        Args:
            decoder: of :class:`models.segnet.SegNet`.
        """
        mine = (layer for layer in self.decoder.modules() if isinstance(layer, DeconvNormReLU))
        theirs = (layer for layer in decoder.modules() if isinstance(layer, ConvNormReLU))
        for layer, given in zip(mine, theirs, strict=False):
            state = given.state_dict()
            state["deconv.weight"] = state.pop("conv.weight").flip(2, 3).transpose(0, 1)
            state["deconv.bias"] = state.pop("conv.bias")
            layer.load_state_dict(state)


def build_deconvnet(
    classes: ClassSet, width: float = 1.0, fully: int = FULLY_CONNECTED
) -> DeconvNet:
    """Build a DeconvNet with one output channel per class, weights random."""
    return DeconvNet(len(classes), width, fully)
