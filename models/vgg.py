"""VGG16's convolutional layers (Simonyan and Zisserman, 2015, configuration D).

SegNet, DeconvNet, FCN, DeepLab v1 and v2 and DilatedNet all start from these thirteen 3x3
convolutions in five stages. Pooling and dilation of a stage differ between papers, so both are
arguments. Published weights have torchvision's key names (``features.N.weight``, no batch norm),
listed in the tables below.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from models.blocks import ConvNormReLU, ConvReLU
from models.errors import WeightsError
from models.pooling import ceil_max_pool

#: (convolutions, channels) of each stage.
STAGES = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))

#: Index N of ``features.N`` for every convolution of torchvision's ``vgg16``, stage by stage.
TORCHVISION_FEATURES = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))

#: Index N of ``classifier.N`` for fc6 and fc7.
TORCHVISION_CLASSIFIER = (0, 3)

#: Channels of fc6 and fc7.
FULLY_CONNECTED = 4096


class Pool(NamedTuple):
    """Max pooling after a stage: 2x2 keeps an odd last row (Caffe's ceil), 3x3 is padded by 1."""

    kernel: int
    stride: int


#: Pooling of the published network.
HALVED = Pool(2, 2)


def scaled_channels(width: float) -> tuple[int, ...]:
    """Channels per stage at ``width`` times those of the paper."""
    return tuple(round(channels * width) for _, channels in STAGES)


def vgg16_stages(
    width: float = 1.0, norm: bool = True, dilations: Sequence[int] = (1, 1, 1, 1, 1)
) -> nn.ModuleList:
    """Build the five stages, each keeping the picture's size.

    Args:
        width: factor on every channel count; the input keeps its 3 channels.
        norm: batch norm after each convolution.
        dilations: of the convolutions of each stage.
    """
    block = ConvNormReLU if norm else ConvReLU
    stages = nn.ModuleList()
    inputs = 3
    for (convolutions, _), outputs, dilation in zip(
        STAGES, scaled_channels(width), dilations, strict=True
    ):
        layers = [
            block(inputs if i == 0 else outputs, outputs, dilation=dilation)
            for i in range(convolutions)
        ]
        stages.append(nn.Sequential(*layers))
        inputs = outputs
    return stages


class VGG16(nn.ModuleList):
    """The five stages without batch norm, with a paper's pooling and dilation.

    Args:
        pools: after each stage; None leaves the map as it is.
        dilations: of the convolutions of each stage.
        width: factor on every channel count.
    """

    def __init__(
        self,
        pools: Sequence[Pool | None] = (HALVED,) * 5,
        dilations: Sequence[int] = (1, 1, 1, 1, 1),
        width: float = 1.0,
    ) -> None:
        super().__init__(vgg16_stages(width, norm=False, dilations=dilations))
        self.pools = tuple(pools)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map (N, 3, H, W) normalised pictures to the map after each stage's pooling."""
        maps = []
        for stage, pool in zip(self, self.pools, strict=True):
            x = _pooled(stage(x), pool)
            maps.append(x)
        return maps


def _pooled(x: Tensor, pool: Pool | None) -> Tensor:
    if pool is None:
        return x
    if pool == HALVED:
        return ceil_max_pool(x)
    return F.max_pool2d(x, pool.kernel, pool.stride, pool.kernel // 2)


def load_vgg16(stages: nn.ModuleList, state: Mapping[str, Tensor]) -> None:
    """Copy published VGG16 convolutions into ``stages``; batch norm stays as it is.

    Args:
        stages: made by :func:`vgg16_stages` at full width, or a :class:`VGG16`.
        state: torchvision's keys ``features.N.weight`` (out, in, 3, 3) and ``features.N.bias``.

    Raises:
        WeightsError: a key is missing, left over, or has another shape.
    """
    remaining = {key: value for key, value in state.items() if not key.startswith("classifier.")}
    for stage, numbers in zip(stages, TORCHVISION_FEATURES, strict=True):
        for layer, number in zip(cast("nn.Sequential", stage), numbers, strict=True):
            _copy(cast("ConvReLU", layer).conv, f"features.{number}", remaining)
    _refuse_unknown(remaining)


def load_vgg16_pairs(levels: nn.ModuleList, state: Mapping[str, Tensor]) -> None:
    """Copy the first two convolutions of VGG16's first four stages into an encoder of such pairs.

    Args:
        levels: of two convolutions each, with VGG16's channels in the first four; later ones are
            not changed.
        state: as for :func:`load_vgg16`.

    Raises:
        WeightsError: a key is missing, unknown, or has another shape.
    """
    remaining = {key: value for key, value in state.items() if not key.startswith("classifier.")}
    for level, numbers in zip(levels, TORCHVISION_FEATURES[:4], strict=False):
        for layer, number in zip(cast("nn.Sequential", level), numbers[:2], strict=True):
            _copy(cast("ConvReLU", layer).conv, f"features.{number}", remaining)
    known = {f"features.{number}" for numbers in TORCHVISION_FEATURES for number in numbers}
    _refuse_unknown({k: v for k, v in remaining.items() if k.rpartition(".")[0] not in known})


def vgg16_state(stages: nn.ModuleList) -> dict[str, Tensor]:
    """Return a state dict for :func:`load_vgg16` from trained stages, their batch norms folded.

    Args:
        stages: made by :func:`vgg16_stages` with ``norm``, in evaluation mode.
    """
    state: dict[str, Tensor] = {}
    for stage, numbers in zip(stages, TORCHVISION_FEATURES, strict=True):
        for layer, number in zip(cast("nn.Sequential", stage), numbers, strict=True):
            both = cast("ConvNormReLU", layer)
            folded = fuse_conv_bn_eval(both.conv, both.norm).state_dict()
            state |= {f"features.{number}.{kind}": value for kind, value in folded.items()}
    return state


def _refuse_unknown(remaining: Mapping[str, Tensor]) -> None:
    if remaining:
        raise WeightsError(
            f"VGG16 weights hold {len(remaining)} unknown keys such as {min(remaining)}; "
            "pass torchvision's vgg16 without batch norm"
        )


def load_vgg16_classifier(fc6: nn.Conv2d, fc7: nn.Conv2d, state: Mapping[str, Tensor]) -> None:
    """Copy VGG16's fully connected layers into the convolutions that replace them.

    Args:
        fc6: 512 to 4096 channels, 7x7.
        fc7: 4096 to 4096 channels, 1x1.
        state: torchvision's keys ``classifier.0`` (4096, 512 * 7 * 7) and ``classifier.3``.

    Raises:
        WeightsError: a key is missing or has another number of values.
    """
    remaining = {key: value for key, value in state.items() if key.startswith("classifier.")}
    for convolution, number in zip((fc6, fc7), TORCHVISION_CLASSIFIER, strict=True):
        _copy(convolution, f"classifier.{number}", remaining)


#: One of so many of fc6's 7x7 taps, and of the 4096 channels of fc6 and fc7, is kept.
DECIMATED_TAPS, DECIMATED_CHANNELS = 3, 4


def load_vgg16_decimated(fc6: nn.Conv2d, fc7: nn.Conv2d, state: Mapping[str, Tensor]) -> None:
    """Copy VGG16's fully connected layers into DeepLab's smaller ones, decimated.

    Every third tap each way and every fourth channel are kept unchanged ("simple decimation",
    DeepLab v1, section 3.1). The paper does not say which channels the authors kept.

    Args:
        fc6: 512 to 1024 channels, 3x3.
        fc7: 1024 to 1024 channels, 1x1.
        state: as for :func:`load_vgg16_classifier`.

    Raises:
        WeightsError: a key is missing or has another number of values.
    """
    with torch.device("meta"):
        whole6 = nn.Conv2d(fc6.in_channels, FULLY_CONNECTED, 7)
        whole7 = nn.Conv2d(FULLY_CONNECTED, FULLY_CONNECTED, 1)
    whole6, whole7 = whole6.to_empty(device="cpu"), whole7.to_empty(device="cpu")
    load_vgg16_classifier(whole6, whole7, state)
    taps, channels = DECIMATED_TAPS, DECIMATED_CHANNELS
    with torch.no_grad():
        fc6.weight.copy_(whole6.weight[::channels, :, ::taps, ::taps])
        fc7.weight.copy_(whole7.weight[::channels, ::channels])
        for small, whole in ((fc6, whole6), (fc7, whole7)):
            cast("Tensor", small.bias).copy_(cast("Tensor", whole.bias)[::channels])


@torch.no_grad()
def _copy(convolution: nn.Conv2d, prefix: str, remaining: dict[str, Tensor]) -> None:
    for kind in ("weight", "bias"):
        key = f"{prefix}.{kind}"
        parameter: Tensor = getattr(convolution, kind)
        value = remaining.pop(key, None)
        wanted = tuple(parameter.shape)
        # A fully connected layer is a convolution over its whole input, flattened.
        shapes = {wanted, (wanted[0], parameter[0].numel())} if kind == "weight" else {wanted}
        if value is None or tuple(value.shape) not in shapes:
            found = "nothing" if value is None else f"shape {tuple(value.shape)}"
            raise WeightsError(
                f"VGG16 weights hold {found} for {key}, expected {wanted}; "
                "pass a torchvision vgg16 state dict"
            )
        parameter.copy_(value.reshape(wanted))
