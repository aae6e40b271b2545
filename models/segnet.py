"""SegNet (Badrinarayanan, Kendall and Cipolla, PAMI 2017, arXiv:1511.00561).

An encoder of VGG16's thirteen convolutions with batch norm and ReLU, 2x2 max pooling that keeps
the arg-max positions, and a mirrored decoder: unpooling to those positions, then as many
convolutions as the encoder stage has. The last of them is the 3x3 classifier. No transposed
convolution, no fully connected layer; 29.45 M parameters, the paper's own figure (section 3).

SegNet-Basic is the paper's small form (section 3.2): four stages of one 7x7 convolution of 64
channels each way, no ReLU and no bias in the decoder; 1.416 M parameters (Table 1: 1.425 M).

Deviations: none in SegNet; SegNet-Basic leaves out the local contrast normalisation of the picture
(the deployment graph normalises it). Its release has biases in the decoder's convolutions, where
section 3.2 has none; batch norm would cancel them anyway. Odd sizes are floored when pooled, as
PyTorch does (Caffe ceils), and unpooling restores the recorded size, so 480x360 (360, 180, 90, 45,
22, 11 rows) works.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise

from torch import Tensor, nn

from models.blocks import ConvNormReLU
from models.classes import ClassSet
from models.unpooling import MaxPoolPhases, MaxUnpoolPhases, Pooled
from models.vgg import STAGES, scaled_channels, vgg16_stages


class _IndexedEncoderDecoder(nn.Module):
    """Stages, index-keeping pooling, and back through unpooling and mirrored stages.

    Args:
        encoder: stages, each followed by a 2x2 pooling.
        decoder: as many, deepest first.
        classifier: after the last stage.
    """

    def __init__(
        self, encoder: nn.ModuleList, decoder: nn.ModuleList, classifier: nn.Conv2d
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.pool = MaxPoolPhases()
        self.unpool = MaxUnpoolPhases()
        self.decoder = decoder
        self.classifier = classifier

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 3, H, W) normalised pictures to (N, classes, H, W) logits.

        H and W are at least 2 to the power of the number of stages.
        """
        pooled: list[Pooled] = []
        for stage in self.encoder:
            pooled.append(self.pool(stage(x)))
            x = pooled[-1].values
        for stage in self.decoder:
            x = stage(self.unpool(x, pooled.pop()))
        logits: Tensor = self.classifier(x)
        return logits


class SegNet(_IndexedEncoderDecoder):
    """SegNet at ``width`` times the paper's channels.

    Args:
        classes: number of output channels.
        width: 1.0 is the paper's network.
    """

    def __init__(self, classes: int, width: float = 1.0) -> None:
        super().__init__(
            vgg16_stages(width),
            _decoder_stages(width),
            nn.Conv2d(scaled_channels(width)[0], classes, 3, padding=1),
        )


def _decoder_stages(width: float) -> nn.ModuleList:
    """Mirror the encoder, deepest stage first; the last convolution of each narrows.

    The outermost stage holds one convolution less: its second one is the classifier.
    """
    channels = scaled_channels(width)
    counts = [convolutions for convolutions, _ in STAGES]
    counts[0] -= 1
    stages = nn.ModuleList()
    for (inputs, outputs), count in zip(
        pairwise([*reversed(channels), channels[0]]), reversed(counts), strict=True
    ):
        layers = [ConvNormReLU(inputs, outputs if i == count - 1 else inputs) for i in range(count)]
        stages.append(nn.Sequential(*layers))
    return stages


#: Stages each way, channels and kernel of SegNet-Basic.
BASIC_STAGES, BASIC_CHANNELS, BASIC_KERNEL = 4, 64, 7


class SegNetBasic(_IndexedEncoderDecoder):
    """SegNet-Basic.

    Args:
        classes: number of output channels.
        channels: of every stage; the paper has 64.
    """

    def __init__(self, classes: int, channels: int = BASIC_CHANNELS) -> None:
        inputs = [3] + [channels] * (BASIC_STAGES - 1)
        super().__init__(
            nn.ModuleList(ConvNormReLU(i, channels, BASIC_KERNEL) for i in inputs),
            nn.ModuleList(_linear_stage(channels) for _ in range(BASIC_STAGES)),
            nn.Conv2d(channels, classes, 1),
        )


def _linear_stage(channels: int) -> nn.Sequential:
    convolution = nn.Conv2d(channels, channels, BASIC_KERNEL, padding=3, bias=False)
    return nn.Sequential(OrderedDict(conv=convolution, norm=nn.BatchNorm2d(channels)))


def build_segnet_basic(classes: ClassSet, width: float = 1.0) -> SegNetBasic:
    """Build a SegNet-Basic with one output channel per class, weights random."""
    return SegNetBasic(len(classes), round(BASIC_CHANNELS * width))


def build_segnet(classes: ClassSet, width: float = 1.0) -> SegNet:
    """Build a SegNet with one output channel per class, weights random."""
    return SegNet(len(classes), width)
