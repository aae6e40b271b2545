"""Segmentation networks as other people write and export them: plain PyTorch, none of our code."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CLASSES = 11
#: (height, width)
SIZE = (64, 96)


class SmallNet(nn.Module):
    """Residual block, depthwise and squeezed parts, transposed convolution, skip; stride 4."""

    def __init__(self, classes: int = CLASSES) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()
        )
        self.down = nn.Conv2d(16, 24, 3, 2, 1)
        self.first = nn.Conv2d(24, 24, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(24)
        self.depthwise = nn.Conv2d(24, 24, 3, 1, 2, dilation=2, groups=24)
        self.squeeze, self.excite = nn.Conv2d(24, 8, 1), nn.Conv2d(8, 24, 1)
        self.up = nn.ConvTranspose2d(24, 16, 2, 2)
        self.mix = nn.Conv2d(32, 24, 3, 1, 1)
        self.classifier = nn.Conv2d(24, classes, 1)

    def features(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 24, H / 2, W / 2)."""
        early = self.stem(x)
        y = F.relu(self.down(early))
        y = F.relu(self.norm(self.first(y)) + y)
        y = F.hardswish(self.depthwise(y))
        weight = self.excite(F.relu(self.squeeze(F.adaptive_avg_pool2d(y, 1))))
        y = self.up(y * torch.sigmoid(weight))
        return F.silu(self.mix(torch.cat([early, y], 1)))

    def forward(self, x: Tensor) -> Tensor:
        y = self.classifier(self.features(x))
        return F.interpolate(y, size=x.shape[-2:], mode="bilinear", align_corners=False)


class ChannelsLast(nn.Module):
    """Input and output are (N, H, W, C), like those of TensorFlow networks."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.network(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return y


class Then(nn.Module):
    """A network and the processing of its logits."""

    def __init__(self, network: nn.Module, after: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.network = network
        self.after = after

    def forward(self, x: Tensor) -> Any:
        return self.after(self.network(x))


class PlainSegNet(nn.Module):
    """Two levels of pooling with indices and unpooling, written with PyTorch's own functions."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 12, 3, 1, 1), nn.Conv2d(12, 12, 3, 1, 1)
        self.back, self.classifier = nn.Conv2d(12, 12, 3, 1, 1), nn.Conv2d(12, CLASSES, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        y, outer = F.max_pool2d(F.relu(self.one(x)), 2, return_indices=True)
        y, inner = F.max_pool2d(F.relu(self.two(y)), 2, return_indices=True)
        y = F.relu(self.back(F.max_unpool2d(y, inner, 2)))
        logits: Tensor = self.classifier(F.max_unpool2d(y, outer, 2))
        return logits


def made(kind: type[nn.Module], *arguments: Any) -> nn.Module:
    """Make a network with fixed random weights and non-trivial batch norms."""
    torch.manual_seed(3)
    network = kind(*arguments).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.5, 2.0)  # type: ignore[arg-type]
    return network.requires_grad_(False)


def export(
    network: nn.Module,
    path: Path,
    shape: tuple[int, ...] = (1, 3, *SIZE),
    opset: int = 17,
    free: tuple[int, ...] = (),
    **options: Any,
) -> Path:
    """Write a network with one of PyTorch's two exporters.

    Args:
        network: is put in inference mode.
        path: to write to.
        shape: of the example input.
        opset: operator set; from 18 on with the newer exporter.
        free: dimensions of the input that are free.
        options: for ``torch.onnx.export``.
    """
    network.eval()  # the older exporter permanently sets the mode of every part
    new = opset >= 18
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    sizes: dict[str, Any] = {"external_data": False} if new else {}
    if free and new:
        sizes["dynamic_shapes"] = (dict.fromkeys(free, torch.export.Dim.DYNAMIC),)
    elif free:
        sizes["dynamic_axes"] = {"input": {axis: f"side{axis}" for axis in free}}
    options = {"input_names": ["input"], "output_names": ["output"], **sizes, **options}
    example = options.pop("example", torch.rand(shape))
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            torch.onnx.export(
                network, (example,), path, opset_version=opset, dynamo=new, verbose=False, **options
            )
    finally:
        logger.setLevel(level)
    return path


def class_file(folder: Path, count: int = CLASSES, void: bool = True) -> Path:
    """Write a class file with a line per channel, and one for the labels' void pixels."""
    path = folder / f"classes{count}.txt"
    path.write_text("".join(f"class {i}\n" for i in range(count)) + ("void\n" if void else ""))
    return path
