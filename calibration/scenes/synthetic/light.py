"""The weather of a drive, and how it changes along the way."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

#: Metres between two places with their own light; it is interpolated in between.
_STRETCH = 220.0
#: Number of different skies.
SKIES = 16


@dataclass(frozen=True)
class Light:
    """Light at one place.

    Attributes:
        exposure: brightness of the whole picture, 1 is neutral.
        sun: 0 (overcast, no shadows) to 1 (hard shadows).
        side: from where it shines, -1 (left) or 1 (right).
        haze: grey of far things, 0..255.
        clear: metres over which contrast falls to a third.
        warm: red against blue, -1..1.
        sky: which of the drawn skies.
    """

    exposure: float
    sun: float
    side: float
    haze: float
    clear: float
    warm: float
    sky: int

    def on_wall(self, u: float) -> float:
        """Light on a house front at ``u``, which looks towards the road."""
        return 1 + self.sun * (0.32 if u * self.side < 0 else -0.38)


@lru_cache(maxsize=256)
def _knot(seed: int, number: int) -> tuple[float, ...]:
    """Exposure, sun, clearness and warmth of one place, around the averages of the drive."""
    drive = np.random.default_rng([seed, 13])
    dusk = drive.random() < 0.3
    exposure = drive.uniform(0.55, 0.8) if dusk else drive.uniform(0.85, 1.35)
    sun = 0.0 if drive.random() < 0.45 else drive.uniform(0.4, 1)
    clear, warm = drive.uniform(90, 400), drive.uniform(-0.5, 0.8)
    rng = np.random.default_rng([seed, 14, number])
    return (
        exposure * rng.uniform(0.8, 1.2),
        float(np.clip(sun + rng.uniform(-0.35, 0.35), 0, 1)),
        clear * rng.uniform(0.8, 1.25),
        warm + rng.uniform(-0.2, 0.2),
    )


def light_at(seed: int, s: float) -> Light:
    """The light at a place along the road."""
    number = math.floor(s / _STRETCH)
    part = s / _STRETCH - number
    pairs = zip(_knot(seed, number), _knot(seed, number + 1), strict=True)
    exposure, sun, clear, warm = (a * (1 - part) + b * part for a, b in pairs)
    side, sky = _sky_of(seed)
    return Light(exposure, sun, side, 205 + 20 * sun, clear, warm, sky)


@lru_cache(maxsize=256)
def _sky_of(seed: int) -> tuple[float, int]:
    """The side of the sun and the sky of one drive."""
    rng = np.random.default_rng([seed, 15])
    return float(rng.choice((-1.0, 1.0))), int(rng.integers(SKIES))
