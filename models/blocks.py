"""Blocks that more than one paper uses, under the names the field gives them."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn


class ConvNormReLU(nn.Sequential):
    """3x3 convolution, batch norm, ReLU; the picture keeps its size.

    The convolution keeps its bias although batch norm makes it redundant: the Caffe networks have
    it, so published weights map one to one, and folding removes it from the engine anyway.
    """

    conv: nn.Conv2d
    norm: nn.BatchNorm2d

    def __init__(self, inputs: int, outputs: int, dilation: int = 1) -> None:
        convolution = nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation)
        nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]  # Conv2d has a bias here
        super().__init__(
            OrderedDict(conv=convolution, norm=nn.BatchNorm2d(outputs), relu=nn.ReLU(inplace=True))
        )
