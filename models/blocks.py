"""Blocks that more than one paper uses, under the names the field gives them."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn


class ConvReLU(nn.Sequential):
    """Convolution and ReLU, without batch norm; the map keeps its size.

    Args:
        inputs, outputs: channels.
        kernel: side of the kernel, odd.
        dilation: distance of the kernel's taps in input pixels.
    """

    conv: nn.Conv2d

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, dilation: int = 1) -> None:
        convolution = same_convolution(inputs, outputs, kernel, dilation)
        super().__init__(OrderedDict(conv=convolution, relu=nn.ReLU(inplace=True)))


class ConvNormReLU(nn.Sequential):
    """Convolution, batch norm, ReLU; the map keeps its size.

    The convolution keeps its bias although batch norm makes it redundant: the Caffe networks have
    it, so published weights map one to one, and folding removes it from the engine anyway.

    Args:
        inputs, outputs: channels.
        kernel: side of the kernel, odd.
        dilation: distance of the kernel's taps in input pixels.
    """

    conv: nn.Conv2d
    norm: nn.BatchNorm2d

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, dilation: int = 1) -> None:
        convolution = same_convolution(inputs, outputs, kernel, dilation)
        super().__init__(
            OrderedDict(conv=convolution, norm=nn.BatchNorm2d(outputs), relu=nn.ReLU(inplace=True))
        )


#: VGG16's fc6 and fc7 as convolutions, or narrower ones in their place.
FullyConnected = tuple[ConvReLU | ConvNormReLU, ConvReLU | ConvNormReLU]


def same_convolution(inputs: int, outputs: int, kernel: int = 3, dilation: int = 1) -> nn.Conv2d:
    """Make a convolution with bias that keeps the map's size, initialised as in He et al. 2015."""
    padding = dilation * (kernel // 2)
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]  # Conv2d has a bias here
    return convolution
