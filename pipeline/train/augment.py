"""Training samples: a random zoom, crop, mirror and change of light, by index and seed alone.

Sample ``i`` of a run is a pure function of (seed, i), so a resumed run continues with the samples
that an uninterrupted one would have seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Draw = Callable[[int], tuple[Picture, Picture]]


@dataclass(frozen=True)
class Augmentation:
    """Attributes: ``crop`` (height, width); ``scale`` range of the zoom; ``void`` fills labels."""

    crop: tuple[int, int]
    scale: tuple[float, float]
    void: int

    def apply(
        self, image: Picture, label: Picture, random: np.random.Generator
    ) -> tuple[Picture, Picture]:
        """Return an augmented BGR picture and its label, both of the crop's size."""
        image, label = self._zoom_and_crop(image, label, random)
        if random.random() < 0.5:
            image, label = image[:, ::-1], label[:, ::-1]
        return _change_light(np.ascontiguousarray(image), random), np.ascontiguousarray(label)

    def _zoom_and_crop(
        self, image: Picture, label: Picture, random: np.random.Generator
    ) -> tuple[Picture, Picture]:
        """One affine warp: the crop is cut from a zoomed, slightly tilted picture."""
        height, width = self.crop
        rows, columns = label.shape
        zoom = float(np.exp(random.uniform(np.log(self.scale[0]), np.log(self.scale[1]))))
        tilt = float(random.uniform(-4.0, 4.0))
        # A crop smaller than the picture is placed at random, a larger one is centred.
        slack_x, slack_y = max(columns * zoom - width, 0), max(rows * zoom - height, 0)
        shift_x = random.uniform(-slack_x / 2, slack_x / 2)
        shift_y = random.uniform(-slack_y / 2, slack_y / 2)
        matrix = cv2.getRotationMatrix2D((columns / 2, rows / 2), tilt, zoom)
        matrix[:, 2] += (width / 2 - columns / 2 + shift_x, height / 2 - rows / 2 + shift_y)
        zoomed = cv2.warpAffine(
            image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
        )
        labels = cv2.warpAffine(
            label,
            matrix,
            (width, height),
            flags=cv2.INTER_NEAREST,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=(self.void,),
        )
        return zoomed.astype(np.uint8, copy=False), labels.astype(np.uint8, copy=False)


def _change_light(image: Picture, random: np.random.Generator) -> Picture:
    """Exposure, contrast, gamma and white balance by one look-up table per channel."""
    levels = np.arange(256, dtype=np.float32) / 255
    gamma = np.exp(random.uniform(-0.4, 0.4))
    contrast, brightness = random.uniform(0.75, 1.3), random.uniform(-0.12, 0.12)
    balance = random.uniform(0.9, 1.1, size=3)
    curve = (levels**gamma - 0.5) * contrast + 0.5 + brightness
    table = np.clip(curve[:, None] * balance * 255, 0, 255).astype(np.uint8)
    if random.random() < 0.15:  # a camera in motion or slightly out of focus
        image = cv2.GaussianBlur(image, (3, 3), 0).astype(np.uint8, copy=False)
    return cv2.LUT(image, table[None]).astype(np.uint8, copy=False)
