"""Activations of a decoder, stage by stage, as in figure 4 of DeconvNet (Noh et al., ICCV 2015).

Unpooling puts values back at the positions of the maxima in this picture: sparse maps with its
outlines. The convolutions (or transposed convolutions) that follow make them dense, with what they
have learned about the classes. The view shows both for each stage.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.registry import MODELS, build_model
from pipeline.errors import ModelError
from pipeline.evaluation.views.canvas import Note, captioned, enlarged, heat, in_columns, titled
from pipeline.evaluation.views.target import Target
from pipeline.stream.frame import ClassMap, Image
from pipeline.stream.overlay import Palette

#: Widest tile: maps of the usual network size keep every pixel, which unpooled ones need.
_TILE_WIDTH = 480
_OPACITY = 0.6


@dataclass(frozen=True)
class Activation:
    """One map of a decoder.

    Attributes:
        stage: 1 for the deepest.
        step: ``unpooled`` or ``convolved``.
        channel: the one shown, from 0: that with the largest mean of its positive part.
        channels: of the stage.
        values: (H, W) of that channel.
    """

    stage: int
    step: str
    channel: int
    channels: int
    values: NDArray[np.float32]

    def to_json(self) -> dict[str, Any]:
        """Return all fields, with the size instead of the values."""
        height, width = self.values.shape
        return {
            "stage": self.stage,
            "step": self.step,
            "height": height,
            "width": width,
            "channel": self.channel,
            "channels": self.channels,
        }

    @property
    def title(self) -> str:
        height, width = self.values.shape
        return f"{self.stage} {self.step}, {height} x {width}, channel {self.channel}"


def view_activations(target: Target) -> tuple[Image, list[Activation]]:
    """Draw picture, class map and the decoder's maps.

    Raises:
        ModelError: the network has no decoder with stages.
    """
    network = target.graph.network
    if not _has_stages(network):
        raise ModelError(
            f"{target.spec.name} was given, which has no decoder with stages to show; choose one "
            f"of {', '.join(_networks_with_stages())}"
        )
    activations: list[Activation] = []
    hooks = _record(network, activations)
    try:
        with torch.inference_mode():
            logits = network(target.graph.preprocess(torch.from_numpy(target.picture)[None]))
    finally:
        for hook in hooks:
            hook.remove()
    classes = logits[0].argmax(0).to(torch.uint8).numpy()
    tiles = _tiles(target, classes, activations)
    # Columns of two: picture over classes, unpooled over convolved.
    sheet = in_columns([*tiles[::2], *tiles[1::2]], (len(tiles) + 1) // 2)
    return captioned(sheet, _notes(target)), activations


def _has_stages(network: nn.Module) -> bool:
    return isinstance(getattr(network, "decoder", None), nn.ModuleList)


def _networks_with_stages() -> list[str]:
    with torch.device("meta"):  # without memory for the weights
        return [name for name, spec in MODELS.items() if _has_stages(build_model(spec))]


def _record(network: nn.Module, into: list[Activation]) -> list[Any]:
    """Hook every stage of the decoder, and the unpooling before it where there is one."""
    pending: list[Tensor] = []
    hooks = []

    def unpooled(module: nn.Module, inputs: Any, output: Tensor) -> None:
        pending[:] = [output]

    def convolved(stage: int) -> Callable[[nn.Module, Any, Tensor], None]:
        def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
            into.extend(_activation(stage, "unpooled", maps) for maps in pending)
            into.append(_activation(stage, "convolved", output))
            pending.clear()

        return hook

    unpool = getattr(network, "unpool", None)
    if isinstance(unpool, nn.Module):
        hooks.append(unpool.register_forward_hook(unpooled))
    for index, stage in enumerate(cast("nn.ModuleList", network.decoder)):
        hooks.append(stage.register_forward_hook(convolved(index + 1)))
    return hooks


def _activation(stage: int, step: str, maps: Tensor) -> Activation:
    channel = int(maps[0].clamp_min(0).mean((1, 2)).argmax())
    # A copy, since in-place layers would change it.
    values = maps[0, channel].float().clone().numpy()
    return Activation(stage, step, channel, maps.shape[1], values)


def _tiles(target: Target, classes: ClassMap, activations: list[Activation]) -> list[Image]:
    height, width = target.picture.shape[:2]
    tile_width = min(width, _TILE_WIDTH)
    size = (tile_width, round(tile_width * height / width))
    colours = Palette(target.spec.classes).colours(classes)
    colours = enlarged(colours, width, height)
    overlay = cv2.addWeighted(target.picture, 1 - _OPACITY, colours, _OPACITY, 0)
    tiles = []
    for image, title in ((target.picture, "picture"), (overlay, "classes")):
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        tiles.append(titled(np.asarray(small, np.uint8), title))
    for activation in activations:
        values = np.maximum(activation.values, 0)
        shown = heat(values / max(float(values.max()), 1e-12))
        tiles.append(titled(enlarged(shown, *size), activation.title))
    return tiles


def _notes(target: Target) -> list[Note]:
    return [
        Note(target.caption),
        Note(
            "Each map: number of the decoder's stage (1 is the deepest), rows x columns, and the "
            "channel shown, which is the one with the largest mean of its positive values. "
            "Brightness from 0 and below (black) to the map's own maximum."
        ),
    ]
