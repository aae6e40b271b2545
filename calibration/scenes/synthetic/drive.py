"""The synthetic drive as an endless labelled video."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.errors import DataError
from calibration.scenes.synthetic.camera import FAR, View, view_at
from calibration.scenes.synthetic.canvas import Canvas
from calibration.scenes.synthetic.ground import draw_ground
from calibration.scenes.synthetic.items import Barrier, Building, Item
from calibration.scenes.synthetic.light import light_at
from calibration.scenes.synthetic.objects import draw_items
from calibration.scenes.synthetic.photo import develop, draw_bonnet
from calibration.scenes.synthetic.sky import draw_sky
from calibration.scenes.synthetic.street import BLOCK, block_of
from calibration.scenes.synthetic.traffic import moving

SMALLEST = 64


@dataclass(frozen=True)
class SyntheticDrive:
    """A drive through a drawn town, with the class of every pixel (``models.classes.CAMVID``).

    Frame ``i`` depends only on (seed, i, size, fps): frames can be drawn in any order and by any
    number of processes. Street, weather and traffic change along the way and with the seed.

    Attributes:
        width, height: of the frames, in pixels, from 64 up.
        seed: number of the drive, 0 or more.
        fps: frames per second of the drive.

    Raises:
        DataError: a size, seed or frame rate outside these ranges.
    """

    width: int = 480
    height: int = 360
    seed: int = 0
    fps: float = 25.0

    def __post_init__(self) -> None:
        if min(self.width, self.height) < SMALLEST:
            raise DataError(
                f"synthetic drive of {self.width}x{self.height} pixels: expected at least "
                f"{SMALLEST}x{SMALLEST}; give a larger size"
            )
        if self.seed < 0:
            raise DataError(f"synthetic drive with seed {self.seed}: give a seed of 0 or more")
        if not self.fps > 0:
            raise DataError(f"synthetic drive at {self.fps} frames per second: give more than 0")

    def frame(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Draw one frame.

        Args:
            index: number of the frame, from 0.

        Returns:
            Picture (height, width, 3) uint8 BGR and label map (height, width) uint8 with values
            0..10, or 11 (void) for objects without a class: litter bins, the camera car's bonnet.

        Raises:
            IndexError: a negative index.
        """
        if index < 0:
            raise IndexError(f"frame {index} of a synthetic drive: frames are counted from 0")
        seconds = index / self.fps
        view = view_at(self.seed, seconds, (self.width, self.height))
        light = light_at(self.seed, view.s)
        items = [*_standing(self.seed, view), *moving(self.seed, seconds, view)]
        canvas = Canvas(view, light.haze, light.clear)
        draw_sky(canvas, self.seed, light)
        draw_ground(canvas, self.seed, light, items)
        draw_items(canvas, items, light)
        draw_bonnet(canvas, self.seed)
        return develop(canvas, self.seed, index, light)


def _standing(seed: int, view: View) -> list[Item]:
    """Everything that stands in view of the camera."""
    first, last = int((view.s - 1) // BLOCK), int((view.s + FAR) // BLOCK)
    return [
        item
        for block in range(first, last + 1)
        for item in block_of(seed, block)
        if (item.end if isinstance(item, Building | Barrier) else item.s + 3) > view.s
    ]
