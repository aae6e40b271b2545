"""The sky, and the distant town."""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.scenes.synthetic.camera import FAR
from calibration.scenes.synthetic.canvas import Canvas
from calibration.scenes.synthetic.items import Label
from calibration.scenes.synthetic.light import SKIES, Light

#: Rows and columns of the sky all around; the rows reach 45 degrees up.
_ROWS, _COLUMNS = 128, 1024


@lru_cache(maxsize=SKIES)
def _panorama(variant: int) -> NDArray[np.uint8]:
    """Two turns of sky, (rows, 2 x columns, 4) BGR and class; the last row is the horizon."""
    rng = np.random.default_rng([16, variant])
    height, width = _ROWS, _COLUMNS
    cover = np.zeros((height, width), np.float32)
    for cells, weight in ((3, 1.0), (6, 0.6), (12, 0.4), (24, 0.25), (48, 0.15)):
        noise = rng.normal(0, weight, (cells, 4 * cells)).astype(np.float32)
        noise = np.concatenate([noise, noise[:, :1]], axis=1)
        cover += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    cover = 1 / (1 + np.exp(-(cover * 1.6 + rng.uniform(-2.5, 4))))
    up = np.linspace(1, 0, height, dtype=np.float32)[:, None, None]
    blue = np.array((238, 212, 178)) * up + np.array((248, 244, 236)) * (1 - up)
    grey = np.array((236, 234, 232)) * (1 - 0.18 * rng.random() * up)
    clouds = grey * (1 - 0.12 * cv2.resize(cover, (width, height))[..., None] * rng.random())
    sky = blue + (clouds - blue) * cover[..., None]
    panorama = np.full((height, 2 * width, 4), Label.SKY, np.uint8)
    panorama[..., :3] = np.tile(np.clip(sky, 0, 255), (1, 2, 1))
    return panorama


@lru_cache(maxsize=64)
def _skyline(seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Far roofs and far trees all around: heights above the horizon as slopes, 1440 steps."""
    rng = np.random.default_rng([seed, 17])
    roofs = np.repeat(rng.uniform(0.0, 0.055, 240) * (rng.random(240) < 0.7), 6)
    bumps = np.abs(rng.normal(0, 0.014, 1440)) + np.repeat(rng.uniform(0, 0.04, 72), 20)
    trees = np.convolve(np.concatenate([bumps, bumps[:4]]), np.ones(5) / 5, mode="valid")
    return roofs, trees


def draw_sky(canvas: Canvas, seed: int, light: Light) -> None:
    """Draw sky and distant town, down to the horizon."""
    view = canvas.view
    heading = view.yaw + math.atan(view.curve.slope(view.s))
    angles = heading + np.arctan((np.array([0, view.width]) - view.centre) / view.focal)
    left, right = (float(a) % (2 * math.pi) * _COLUMNS / (2 * math.pi) for a in angles)
    right += _COLUMNS if right < left else 0
    high = max(1, min(math.ceil(view.horizon) + 2, view.height))
    rows = min(_ROWS, _ROWS * math.atan(high / view.focal) / (math.pi / 4))
    # Sub-pixel places, so that the clouds turn smoothly with the camera.
    across, down = (right - left) / view.width, rows / high
    canvas.pixels[:high] = cv2.warpAffine(
        _panorama(light.sky),
        np.array([[across, 0, left], [0, down, _ROWS - 1 - rows]]),
        (view.width, high),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    roofs, trees = _skyline(seed)
    x = np.linspace(-2, view.width + 2, 120)
    turn = heading + np.arctan((x - view.centre) / view.focal)
    at = np.floor(turn / (2 * math.pi) * len(roofs)).astype(int) % len(roofs)
    for heights, colour, label in (
        (roofs, (112, 116, 122), Label.BUILDING),
        (trees, (82, 98, 92), Label.TREE),
    ):
        y = view.horizon + 2 - view.focal * heights[at]
        outline = np.stack([x, y], axis=1)
        foot = np.array([[view.width + 2.0, view.horizon + 3], [-2.0, view.horizon + 3]])
        far = view.s + min(FAR, canvas.clear)
        canvas.polygon(np.concatenate([outline, foot]), canvas.stroke(colour, label, far))
