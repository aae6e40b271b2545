"""ResNet-50 and ResNet-101 as dilated encoders (He et al., CVPR 2016, arXiv:1512.03385).

Layer names and shapes are torchvision's ``resnet50`` and ``resnet101``, so their state dicts load
one to one (the ImageNet classifier ``fc`` is left out). As there, the stride of a bottleneck sits
in its 3x3 convolution ("v1.5"); the paper and the Caffe networks have it in the first 1x1.

For dense prediction later strides are turned into dilation (Yu et al. 2017). A stage's first block
keeps the dilation of the stage before, as in torchvision's ``replace_stride_with_dilation``, or has
that of its stage, as in the releases of DeepLab v2 and PSPNet. Published weights were trained with
one or the other; the tensors are the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import Tensor, nn

from models.state_file import renamed

#: Bottlenecks per stage, by depth.
BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}

#: A bottleneck's outputs per inner channel.
EXPANSION = 4


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolution next to a shortcut.

    Args:
        inputs: input channels.
        inner: channels of the 3x3 convolution; the block has four times as many outputs.
        stride, dilation: of the 3x3 convolution.
    """

    def __init__(self, inputs: int, inner: int, stride: int, dilation: int) -> None:
        super().__init__()
        outputs = inner * EXPANSION
        self.conv1 = nn.Conv2d(inputs, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, dilation, dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )
        nn.init.zeros_(self.bn3.weight)  # starts as its shortcut, so that deep stacks train faster

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, 4 * inner, H / stride, W / stride)."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        shortcut = x if self.downsample is None else self.downsample(x)
        activated: Tensor = self.relu(y + shortcut)
        return activated


class Features(NamedTuple):
    """The maps of the encoder's third and fourth stage."""

    stage3: Tensor
    last: Tensor


class FeatureChannels(NamedTuple):
    """Channels of the maps in :class:`Features`."""

    stage3: int
    last: int


class ResNet(nn.Module):
    """ResNet without its ImageNet classifier.

    Args:
        depth: 50 or 101.
        output_stride: 32 is the paper's; at 16 and 8 later strides become dilation.
        width: factor on every channel count.
        dilate_first: dilate the first block of a stage like its others.
        multi_grid: factors on the dilations of the last stage's three blocks, the first included
            (DeepLab v3, section 3.2); None for torchvision's form.
    """

    def __init__(
        self,
        depth: int,
        output_stride: int = 32,
        width: float = 1.0,
        dilate_first: bool = False,
        multi_grid: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        inners = [round(64 * 2**stage * width) for stage in range(4)]
        self.channels = FeatureChannels(inners[2] * EXPANSION, inners[3] * EXPANSION)
        self.conv1 = nn.Conv2d(3, inners[0], 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(inners[0])
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        stages: list[nn.Module] = []
        inputs, reached, dilation = inners[0], 4, 1
        for count, inner in zip(BLOCKS[depth], inners, strict=True):
            stride, before = (2 if stages else 1), dilation
            if reached * stride > output_stride:
                dilation, stride = dilation * stride, 1
            reached *= stride
            rates = [dilation if dilate_first else before] + [dilation] * (count - 1)
            if multi_grid is not None and len(stages) == 3:
                rates = [dilation * factor for factor in multi_grid]
            blocks = [Bottleneck(inputs, inner, stride, rates[0])]
            inputs = inner * EXPANSION
            blocks += [Bottleneck(inputs, inner, 1, rate) for rate in rates[1:]]
            stages.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages

    def forward(self, x: Tensor) -> Features:
        """Map (N, 3, H, W) normalised pictures to their feature maps."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        stage3 = self.layer3(self.layer2(self.layer1(x)))
        return Features(stage3, self.layer4(stage3))


def load_resnet(encoder: ResNet, state: Mapping[str, Tensor]) -> None:
    """Copy published weights into ``encoder``, all but the ImageNet classifier.

    Args:
        encoder: at full width.
        state: torchvision's keys, such as ``layer1.0.conv1.weight``.

    Raises:
        WeightsError: a key is missing, left over, or has another shape.
    """
    wanted = encoder.state_dict()
    given = {key: value for key, value in state.items() if not key.startswith("fc.")}
    remedy = "pass a torchvision state dict of the same depth"
    names = {name: name for name in wanted}
    encoder.load_state_dict(renamed(given, names, wanted, "ResNet weights", remedy))
