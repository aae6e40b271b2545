"""Which layers lose most in INT8: each in turn is computed in floating point, the rest in INT8."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from calibration.table import CalibrationTable
from pipeline.progress import Progress
from pipeline.quantization.calibrate import Target, agreement_of, class_maps
from pipeline.stream.frame import Image

#: More layers than this are tried in blocks, since every try runs the whole network.
MOST_TRIES = 32


@dataclass(frozen=True)
class Sensitivity:
    """What a block gains in floating point.

    Attributes:
        name: of a convolution, or the common beginning of the names of the block's convolutions.
        layers: its convolutions.
        gain: by how much agreement with FP32 rises, as a share of pixels, when only these layers
            are computed in floating point.
    """

    name: str
    layers: tuple[str, ...]
    gain: float


def rank_layers(
    target: Target, table: CalibrationTable, frames: list[Image], progress: Progress
) -> list[Sensitivity]:
    """Rank the layers that are INT8 with a table, the most sensitive first.

    The measure is arg-max agreement with FP32, which needs no labels. The list is empty without
    frames.
    """
    if not frames:
        return []
    placed = target.exported.placement((*table.high_precision, *target.kept))
    truth = class_maps(target.exported.module, frames)
    everything = target.quantised(table, unsigned=False).with_dtype(torch.float32)
    start = agreement_of(truth, class_maps(everything, frames))
    found = []
    blocks = blocks_of(placed.int8)
    for index, (name, layers) in enumerate(blocks.items()):
        progress(f"sensitivity of {name}", index / len(blocks))
        kept = (*table.high_precision, *layers)
        tried = target.quantised(table, False, kept).with_dtype(torch.float32)
        gain = agreement_of(truth, class_maps(tried, frames)) - start
        found.append(Sensitivity(name, layers, gain))
    return sorted(found, key=lambda one: -one.gain)


def blocks_of(layers: tuple[str, ...], most: int = MOST_TRIES) -> dict[str, tuple[str, ...]]:
    """Group layers by the beginnings of their names, into ``most`` groups or fewer if possible."""
    deepest = max((name.count(".") + 1 for name in layers), default=1)
    for depth in range(deepest, 0, -1):
        groups: dict[str, list[str]] = {}
        for name in layers:
            groups.setdefault(".".join(name.split(".")[:depth]), []).append(name)
        if len(groups) <= most or depth == 1:
            break
    return {name: tuple(members) for name, members in groups.items()}
