"""Effects of the camera: its car's bonnet, a soft lens, exposure, colour and noise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.scenes.synthetic.canvas import Canvas
from calibration.scenes.synthetic.items import Label
from calibration.scenes.synthetic.light import Light


@dataclass(frozen=True)
class _Gear:
    """Car and camera of one drive; ``bonnet`` is (rise, lean, tone), None when out of sight."""

    bonnet: tuple[float, float, float] | None
    soft: float
    noise: float
    contrast: float


@lru_cache(maxsize=256)
def _gear_of(seed: int) -> _Gear:
    rng = np.random.default_rng([seed, 30])
    bonnet = rng.uniform(0.03, 0.08), rng.uniform(-0.02, 0.02), rng.uniform(14, 60)
    return _Gear(
        bonnet=bonnet if rng.random() < 0.3 else None,
        soft=rng.uniform(0.45, 0.8),
        noise=rng.uniform(0.04, 0.16),
        contrast=rng.uniform(0.85, 1.15),
    )


def draw_bonnet(canvas: Canvas, seed: int) -> None:
    """The camera car's own bonnet along the lower edge, on some drives; it has no class (void)."""
    look = _gear_of(seed)
    if not look.bonnet:
        return
    width, height = canvas.view.width, canvas.view.height
    rise, lean, tone = look.bonnet
    x = np.linspace(-0.05, 1.05, 24)
    for depth, light in ((0.0, 1.5), (0.008, 1.0)):
        y = 1 - rise * (1 - (2 * x - 1) ** 4) - lean * (x - 0.5) + depth
        outline = np.concatenate([np.stack([x, y], axis=1), [[1.05, 1.1], [-0.05, 1.1]]])
        tones = (tone * light * 1.05, tone * light, tone * light * 0.95, int(Label.VOID))
        canvas.polygon(outline * (width, height), tones)


def develop(
    canvas: Canvas, seed: int, index: int, light: Light
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Picture (H, W, 3) BGR as a camera would take it, and labels (H, W) as they were drawn."""
    labels = np.ascontiguousarray(canvas.pixels[..., 3])
    picture = cv2.cvtColor(canvas.pixels, cv2.COLOR_BGRA2BGR)
    gear = _gear_of(seed)
    # The blur gives hard strokes the soft edges of a real picture.
    sigma = gear.soft * max(1.0, canvas.view.width / 900)
    taps = 3 if sigma < 0.9 else 5
    cv2.GaussianBlur(picture, (taps, taps), sigma, dst=picture)
    cv2.LUT(picture, _response(light, gear.contrast), dst=picture)
    height, width = labels.shape
    grain = _sensor_grain(width, height)
    y, x = np.random.default_rng([seed, 31, index]).integers(0, _SPARE, 2)
    noise = grain[y : y + height, x : x + width]
    cv2.addWeighted(picture, 1, noise, gear.noise, -128 * gear.noise, dst=picture)
    return np.asarray(picture, np.uint8), labels


def _response(light: Light, contrast: float) -> NDArray[np.uint8]:
    """Brightness curve per channel (1, 256, 3): exposure, contrast, warmth, clipped whites."""
    grey = np.arange(256, dtype=np.float64)[:, None] / 255
    warm = 1 + 0.045 * light.warm * np.array([-1.0, 0.0, 1.0])
    # Low light darkens shadows more than the sky, which stays nearly white, as in CamVid.
    dim, bright = min(1.0, light.exposure), max(1.0, light.exposure)
    curve = np.minimum(grey * bright * warm, 1.3) ** (1.15 * contrast / dim**1.15)
    curve = np.where(curve > 0.85, 0.85 + (curve - 0.85) * 0.8, curve)
    table: NDArray[np.uint8] = np.clip(np.rint(255 * curve), 0, 255).astype(np.uint8)
    return table[None]


#: Extra rows and columns of noise, so that each frame can use another part of it.
_SPARE = 61


@lru_cache(maxsize=4)
def _sensor_grain(width: int, height: int) -> NDArray[np.uint8]:
    """Noise around 128 with a standard deviation of 30, drawn once: normal numbers are slow."""
    rng = np.random.default_rng(33)
    noise = rng.normal(128, 30, (height + _SPARE, width + _SPARE, 3))
    return np.clip(np.rint(noise), 0, 255).astype(np.uint8)
