"""VGG16's convolutional trunk (Simonyan and Zisserman, 2015, configuration D).

SegNet, DeconvNet, FCN, DeepLab v1 and DilatedNet all start from these thirteen 3x3 convolutions
in five stages; how a stage is pooled belongs to each paper, so the stages come without pooling.
Published weights carry torchvision's key names (``features.N.weight``, no batch norm); the table
below says where each one goes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from models.blocks import ConvNormReLU
from models.errors import WeightsError

#: (convolutions, channels) of each stage.
STAGES = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))

#: Index N of ``features.N`` for every convolution of torchvision's ``vgg16``, stage by stage.
TORCHVISION_FEATURES = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))


def scaled_channels(width: float) -> tuple[int, ...]:
    """Channels per stage at ``width`` times those of the paper."""
    return tuple(round(channels * width) for _, channels in STAGES)


def vgg16_stages(width: float = 1.0) -> nn.ModuleList:
    """Build the five stages with batch norm, each keeping the picture's size.

    Args:
        width: factor on every channel count; the input keeps its 3 channels.
    """
    stages = nn.ModuleList()
    inputs = 3
    for (convolutions, _), outputs in zip(STAGES, scaled_channels(width), strict=True):
        layers = [ConvNormReLU(inputs if i == 0 else outputs, outputs) for i in range(convolutions)]
        stages.append(nn.Sequential(*layers))
        inputs = outputs
    return stages


def load_vgg16(stages: nn.ModuleList, state: Mapping[str, Tensor]) -> None:
    """Copy published VGG16 convolutions into ``stages``; batch norm stays as it is.

    Args:
        stages: made by :func:`vgg16_stages` at full width.
        state: torchvision's keys ``features.N.weight`` (out, in, 3, 3) and ``features.N.bias``.

    Raises:
        WeightsError: a key is missing, left over, or has another shape.
    """
    remaining = dict(state)
    with torch.no_grad():
        for stage, numbers in zip(stages, TORCHVISION_FEATURES, strict=True):
            for layer, number in zip(cast("nn.Sequential", stage), numbers, strict=True):
                for kind in ("weight", "bias"):
                    key = f"features.{number}.{kind}"
                    parameter = getattr(layer.conv, kind)
                    value = remaining.pop(key, None)
                    if value is None or value.shape != parameter.shape:
                        found = "nothing" if value is None else f"shape {tuple(value.shape)}"
                        raise WeightsError(
                            f"VGG16 weights hold {found} for {key}, expected "
                            f"{tuple(parameter.shape)}; pass a torchvision vgg16 state dict"
                        )
                    parameter.copy_(value)
    extra = sorted(key for key in remaining if key.startswith("features."))
    if extra:
        raise WeightsError(
            f"VGG16 weights hold {len(extra)} unknown keys such as {extra[0]}; "
            "pass torchvision's vgg16 without batch norm"
        )
