"""The deployment graph: uint8 camera frames in, uint8 class maps out.

It contains preprocessing and arg-max, so these are the same in training, calibration, evaluation
and on cameras, and only bytes are copied to and from a GPU.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.spec import InputSpec
from pipeline.graph.frame_sizes import FRAME_SIZES, MOST_FRAMES
from pipeline.graph.transposed import with_plain_convolutions


class Normalise(nn.Module):
    """Grey levels of BGR frames -> channel order, mean and deviation of the network's training.

    Args:
        spec: channel order, mean and std.
        dtype: floating-point type of input and output.
    """

    channels: Tensor
    scale: Tensor
    shift: Tensor

    def __init__(self, spec: InputSpec, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        order = [2, 1, 0] if spec.order == "rgb" else [0, 1, 2]
        mean, std = torch.tensor(spec.mean).view(3, 1, 1), torch.tensor(spec.std).view(3, 1, 1)
        self.register_buffer("channels", torch.tensor(order))
        # (x / 255 - mean) / std as one multiplication and one addition.
        self.register_buffer("scale", (1 / (255 * std)).to(dtype))
        self.register_buffer("shift", (-mean / std).to(dtype))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 3, H, W) BGR, 0..255, to (N, 3, H, W) normalised, in the spec's order."""
        return torch.index_select(x, 1, self.channels) * self.scale + self.shift


class DeploymentGraph(nn.Module):
    """Wrap ``network`` as (N, H, W, 3) uint8 BGR frames -> (N, h, w) uint8 class map.

    Args:
        network: (N, 3, h, w) normalised floats -> (N, classes, h, w) logits; put in eval mode.
        spec: h, w, mean, std and channel order that the network was trained with.
        dtype: floating-point type of the graph; the network is converted to it.
    """

    def __init__(
        self, network: nn.Module, spec: InputSpec, dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        self.network = with_plain_convolutions(network.eval()).to(dtype)
        self.normalise = Normalise(spec, dtype)
        self.spec = spec
        self.dtype = dtype
        self.size = (spec.height, spec.width)

    def with_dtype(self, dtype: torch.dtype) -> DeploymentGraph:
        """Return this graph, or a copy of it in another floating-point type."""
        if dtype == self.dtype:
            return self
        return type(self)(copy.deepcopy(self.network), self.spec, dtype)

    def preprocess(self, frames: Tensor) -> Tensor:
        """Resize (bilinear, half-pixel centres, as ``cv2.INTER_LINEAR``) and normalise."""
        # TensorRT takes bytes only as a network's input, so the cast must be the first operator.
        x = frames.to(self.dtype).permute(0, 3, 1, 2)
        x = F.interpolate(x, size=self.size, mode="bilinear", align_corners=False)
        normalised: Tensor = self.normalise(x)
        return normalised

    def forward(self, frames: Tensor) -> Tensor:
        """Segment frames; the class map has the network's size, ties go to the lower class."""
        logits: Tensor = self.network(self.preprocess(frames))
        return logits.argmax(1).to(torch.uint8)


def example_frames(free_batch: bool) -> tuple[Tensor, dict[int, Any]]:
    """Return frames to trace a deployment graph with, and which of their dimensions are free.

    Their size is not the network's, and a free batch is not 1: torch.export would make equal sizes
    constants of the graph.
    """
    free: dict[int, Any] = {
        axis: torch.export.Dim(name, min=FRAME_SIZES[0], max=FRAME_SIZES[1])
        for axis, name in ((1, "height"), (2, "width"))
    }
    if free_batch:
        free[0] = torch.export.Dim("batch", min=1, max=MOST_FRAMES)
    return torch.zeros((2 if free_batch else 1, 270, 482, 3), dtype=torch.uint8), free
