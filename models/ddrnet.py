"""DDRNet-23-slim (Hong, Pan, Sun and Jia 2021, arXiv:2101.06085; IEEE T-ITS 2023).

Two branches of residual blocks: one keeps stride 8 from the second stage on, the other goes down
to stride 64. They exchange features twice: the coarse map, reduced by 1x1 and resized, is added to
the fine one, and the fine map, after strided convolutions, to the coarse one. The deep aggregation
pyramid pooling module (DAPPM) then averages the coarsest map over growing windows, and refines each
average together with the one before. 5.7 M parameters.

The names inside ``encoder`` are those of the authors' release (github.com/ydhongHIT/DDRNet, MIT);
:func:`load_ddrnet23_slim` loads their Cityscapes weights.

Deviations: maps are resized to the size of the map that they are added to, where the release
computes it by flooring, which is the same at multiples of 8. Logits are resized to the picture with
half-pixel centres. The second head of the release, which helps training, is left out.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.classes import ClassSet
from models.state_file import renamed
from models.upsampling import resized

#: Channels at strides 2 and 4; those of the later stages are multiples.
CHANNELS = 32

#: Channels of DAPPM's branches and of the head.
CONTEXT, HEAD = 128, 64

#: Kernel and stride of DAPPM's average poolings.
WINDOWS = ((5, 2), (9, 4), (17, 8))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions next to a shortcut.

    Args:
        inputs, outputs: channels.
        stride: of the first convolution.
        active: a ReLU at the end; the last block of a stage has none, its readers apply it.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1, active: bool = True) -> None:
        super().__init__()
        self.conv1 = _convolution(inputs, outputs, 3, stride)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = _convolution(outputs, outputs, 3)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = _shortcut(inputs, outputs, stride)
        self.active = active

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, ceil(H / stride), ceil(W / stride))."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y)) + self.downsample(x)
        return F.relu(y) if self.active else y


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolution next to a shortcut; a stage of one block, without a last ReLU.

    Args:
        inputs: input channels.
        inner: channels of the 3x3 convolution; the block has twice as many outputs.
        stride: of the 3x3 convolution.
    """

    def __init__(self, inputs: int, inner: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = _convolution(inputs, inner, 1)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = _convolution(inner, inner, 3, stride)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = _convolution(inner, 2 * inner, 1)
        self.bn3 = nn.BatchNorm2d(2 * inner)
        self.downsample = _shortcut(inputs, 2 * inner, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, 2 * inner, ceil(H / stride), ceil(W / stride))."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return y + self.downsample(x)  # type: ignore[no-any-return]  # a module's result is Any


class DAPPM(nn.Module):
    """Deep aggregation pyramid pooling: averages over growing windows, refined one after another.

    Args:
        inputs, outputs: channels.
        inner: channels of each of the five branches.
    """

    def __init__(self, inputs: int, inner: int, outputs: int) -> None:
        super().__init__()
        self.scale0 = _preactivated(inputs, inner, 1)
        for number, (kernel, stride) in enumerate(WINDOWS, 1):
            pooling = nn.AvgPool2d(kernel, stride, kernel // 2)
            self.add_module(f"scale{number}", _preactivated(inputs, inner, 1, pooling))
        self.scale4 = _preactivated(inputs, inner, 1, nn.AdaptiveAvgPool2d(1))
        for number in range(1, 5):
            self.add_module(f"process{number}", _preactivated(inner, inner, 3))
        self.compression = _preactivated(5 * inner, outputs, 1)
        self.shortcut = _preactivated(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H, W)."""
        maps = [self.scale0(x)]
        for number in range(1, len(WINDOWS) + 1):
            pooled = resized(self.get_submodule(f"scale{number}")(x), x)
            maps.append(self.get_submodule(f"process{number}")(pooled + maps[-1]))
        # One pixel, repeated by broadcasting.
        maps.append(self.get_submodule("process4")(self.scale4(x) + maps[-1]))
        joined = self.compression(torch.cat(maps, 1))
        return joined + self.shortcut(x)  # type: ignore[no-any-return]  # a module's result is Any


class DualResolution(nn.Module):
    """The two branches and their exchange, up to the sum that the head reads.

    Args:
        channels: at strides 2 and 4.
        context: channels of DAPPM's branches.
    """

    def __init__(self, channels: int, context: int) -> None:
        super().__init__()
        fine, deep, deepest = 2 * channels, 4 * channels, 8 * channels
        self.conv1 = nn.Sequential(
            *(nn.Conv2d(3, channels, 3, 2, 1), nn.BatchNorm2d(channels), nn.ReLU()),
            *(nn.Conv2d(channels, channels, 3, 2, 1), nn.BatchNorm2d(channels), nn.ReLU()),
        )
        self.layer1 = _stage(channels, channels)
        self.layer2 = _stage(channels, fine, 2)
        self.layer3 = _stage(fine, deep, 2)
        self.layer4 = _stage(deep, deepest, 2)
        self.layer5 = nn.Sequential(Bottleneck(deepest, deepest, 2))
        self.layer3_, self.layer4_ = _stage(fine, fine), _stage(fine, fine)
        self.layer5_ = nn.Sequential(Bottleneck(fine, fine))
        self.compression3 = _normed(deep, fine, 1)
        self.compression4 = _normed(deepest, fine, 1)
        self.down3 = _normed(fine, deep, 3, 2)
        self.down4 = nn.Sequential(
            *_normed(fine, deep, 3, 2), nn.ReLU(), *_normed(deep, deepest, 3, 2)
        )
        self.spp = DAPPM(2 * deepest, context, deep)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 3, H, W) normalised pictures to (N, 4 channels, ceil(H / 8), ceil(W / 8))."""
        x = F.relu(self.layer2(F.relu(self.layer1(self.conv1(x)))))
        coarse, fine = self.layer3(x), self.layer3_(x)
        coarse, fine = (
            coarse + self.down3(F.relu(fine)),
            fine + resized(self.compression3(F.relu(coarse)), fine),
        )
        coarse, fine = self.layer4(F.relu(coarse)), self.layer4_(F.relu(fine))
        coarse, fine = (
            coarse + self.down4(F.relu(fine)),
            fine + resized(self.compression4(F.relu(coarse)), fine),
        )
        detail: Tensor = self.layer5_(F.relu(fine))
        return detail + resized(self.spp(self.layer5(F.relu(coarse))), detail)


class SegmentationHead(nn.Module):
    """3x3 and 1x1 convolution, each after batch norm and ReLU."""

    def __init__(self, inputs: int, inner: int, classes: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = _convolution(inputs, inner, 3)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, classes, H, W)."""
        x = self.conv1(F.relu(self.bn1(x)))
        scores: Tensor = self.conv2(F.relu(self.bn2(x)))
        return scores


class DDRNet(nn.Module):
    """DDRNet-23-slim; ``width`` is a factor on all channels."""

    def __init__(self, classes: int, width: float = 1.0) -> None:
        super().__init__()
        channels = round(CHANNELS * width)
        self.encoder = DualResolution(channels, round(CONTEXT * width))
        self.final_layer = SegmentationHead(4 * channels, round(HEAD * width), classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 3, H, W) normalised pictures to (N, classes, H, W) logits."""
        return resized(self.final_layer(self.encoder(x)), x)


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return convolution


def _normed(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    convolution = _convolution(inputs, outputs, kernel, stride)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))


def _preactivated(inputs: int, outputs: int, kernel: int, *before: nn.Module) -> nn.Sequential:
    convolution = _convolution(inputs, outputs, kernel)
    return nn.Sequential(*before, nn.BatchNorm2d(inputs), nn.ReLU(), convolution)


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    return _normed(inputs, outputs, 1, stride)


def _stage(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        BasicBlock(inputs, outputs, stride), BasicBlock(outputs, outputs, active=False)
    )


def build_ddrnet23_slim(classes: ClassSet, width: float = 1.0) -> DDRNet:
    """Build a DDRNet-23-slim with one output channel per class, weights random."""
    return DDRNet(len(classes), width)


#: Before every key of the release's Cityscapes weights, which were saved inside a training module.
_PREFIX = "model."

#: Not taken: the second head, the loss's own values, and scores of other classes.
_LEFT_OUT = ("seghead_extra.", "loss.", "final_layer.conv2.")


def load_ddrnet23_slim(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copy the release's Cityscapes weights into ``network``: all but the scores of its 19 classes.

    Args:
        network: a :class:`DDRNet` at width 1.
        state: keys such as ``layer1.0.conv1.weight``, with or without ``model.`` before them.

    Raises:
        WeightsError: a key is missing, unknown, or has another shape.
    """
    given = {key.removeprefix(_PREFIX): value for key, value in state.items()}
    given = {key: value for key, value in given.items() if not key.startswith(_LEFT_OUT)}
    wanted = network.state_dict()
    keys = {
        name: name.removeprefix("encoder.") for name in wanted if not name.startswith(_LEFT_OUT)
    }
    remedy = "pass the Cityscapes file that github.com/ydhongHIT/DDRNet leads to"
    found = renamed(given, keys, wanted, "DDRNet-23-slim weights", remedy)
    network.load_state_dict(wanted | found)
