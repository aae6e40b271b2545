"""Position of the camera over time, and projection of the world onto its picture.

Coordinates follow the road, so a bend is a sideways shift that depends on ``s`` alone. That keeps
verticals vertical and lines along the road straight near the camera, at a fraction of the cost of a
full 3-D transform, and is accurate if the bend's radius is large compared with the view.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

#: Nearest distance that is projected; nearer points are moved along the road to it, which keeps
#: them on the same line of the picture (lines along the road share one vanishing point).
NEAR = 0.4
#: Metres of road that are drawn.
FAR = 130.0
#: Largest picture coordinate, in pixels.
_LIMIT = 20000.0


@dataclass(frozen=True)
class Curve:
    """Middle line of the road, as a sum of two sines: sideways metres over metres along."""

    amplitudes: tuple[float, float]
    wavenumbers: tuple[float, float]
    phases: tuple[float, float]

    def offset(self, s: float) -> float:
        (a, b), (k, q), (p, r) = self.amplitudes, self.wavenumbers, self.phases
        return a * math.sin(k * s + p) + b * math.sin(q * s + r)

    def offsets(self, s: NDArray[np.float64]) -> NDArray[np.float64]:
        (a, b), (k, q), (p, r) = self.amplitudes, self.wavenumbers, self.phases
        shift: NDArray[np.float64] = a * np.sin(k * s + p) + b * np.sin(q * s + r)
        return shift

    def slope(self, s: float) -> float:
        (a, b), (k, q), (p, r) = self.amplitudes, self.wavenumbers, self.phases
        return a * k * math.cos(k * s + p) + b * q * math.cos(q * s + r)


@lru_cache(maxsize=64)
def curve_of(seed: int) -> Curve:
    """The bends of one drive, with radii of some hundred metres and more."""
    rng = np.random.default_rng([seed, 1])
    lengths = rng.uniform(260, 520), rng.uniform(110, 160)
    first, second = rng.uniform(2.0, 9.0), rng.uniform(0.0, 0.5)
    phases = rng.uniform(0, 2 * math.pi, 2)
    return Curve(
        (first, second),
        (2 * math.pi / lengths[0], 2 * math.pi / lengths[1]),
        (float(phases[0]), float(phases[1])),
    )


@dataclass(frozen=True)
class View:
    """A pinhole camera on the road at one moment.

    Attributes:
        width, height: of the picture, in pixels.
        focal: focal length, in pixels.
        centre, horizon: picture column and row of the point straight ahead at infinity.
        s, u, eye: place of the camera along, across and above the road, in metres.
        yaw: heading against the road's direction, in radians (right is positive).
        curve: the road's middle line.
    """

    width: int
    height: int
    focal: float
    centre: float
    horizon: float
    s: float
    u: float
    eye: float
    yaw: float
    curve: Curve

    @cached_property
    def _tangent(self) -> tuple[float, float]:
        """Offset and slope of the straight line that the camera looks along."""
        slope = self.curve.slope(self.s) + self.yaw
        return self.curve.offset(self.s) + self.u, slope

    def sideways(self, s: float) -> float:
        """Metres by which the road's middle lies right of the line of sight, at ``s``."""
        offset, slope = self._tangent
        return self.curve.offset(s) - offset - slope * (s - self.s)

    def foot(self, s: float, u: float) -> tuple[float, float, float]:
        """Column and row of a point on the ground, and pixels per metre there."""
        s = max(s, self.s + NEAR)
        scale = self.focal / (s - self.s)
        x = self.centre + (self.sideways(s) + u) * scale
        return x, self.horizon + self.eye * scale, scale

    def project(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Pixels (..., 2) of world points (..., 3) given as (s, u, y)."""
        z = np.maximum(points[..., 0] - self.s, NEAR)
        offset, slope = self._tangent
        sideways = self.curve.offsets(z + self.s) - slope * z + (points[..., 1] - offset)
        scale = self.focal / z
        pixels = np.empty((*z.shape, 2))
        np.add(sideways * scale, self.centre, out=pixels[..., 0])
        np.add((self.eye - points[..., 2]) * scale, self.horizon, out=pixels[..., 1])
        # Far outside the picture only the direction counts, and OpenCV's coordinates are 32 bit.
        np.minimum(np.maximum(pixels, -_LIMIT, out=pixels), _LIMIT, out=pixels)
        return pixels


@dataclass(frozen=True)
class _Mount:
    """How one car carries its camera, and how it drives."""

    speed: float
    eye: float
    horizon: float
    zoom: float
    lane: float
    phases: tuple[float, ...]


@lru_cache(maxsize=64)
def _mount_of(seed: int) -> _Mount:
    rng = np.random.default_rng([seed, 2])
    return _Mount(
        speed=rng.uniform(7.5, 11.5),
        eye=rng.uniform(1.25, 1.6),
        horizon=rng.uniform(0.45, 0.58),
        zoom=rng.uniform(0.9, 1.15),
        lane=rng.uniform(-1.75, -1.45),
        phases=tuple(float(p) for p in rng.uniform(0, 2 * math.pi, 6)),
    )


def place_at(seed: int, seconds: float) -> float:
    """Metres along the road; the speed varies by a third."""
    mount = _mount_of(seed)
    # Far from zero, so that there is a street behind the first frame too.
    return 1000 + mount.speed * (seconds + 2.2 * math.sin(0.15 * seconds + mount.phases[0]))


def view_at(seed: int, seconds: float, size: tuple[int, int]) -> View:
    """The camera after ``seconds`` of a drive, for a picture of ``size`` (width, height)."""
    mount, (width, height) = _mount_of(seed), size
    a, b, c, d, e, _ = mount.phases
    # The geometric mean keeps the scene in view for wide and for tall pictures.
    focal = mount.zoom * math.sqrt(width * height * 4 / 3)
    s = place_at(seed, seconds)
    bounce = 0.004 * math.sin(7.1 * seconds + a) + 0.003 * math.sin(0.9 * seconds + b)
    yaw = 0.014 * math.sin(0.31 * seconds + c) + 0.006 * math.sin(1.3 * seconds + d)
    return View(
        width=width,
        height=height,
        focal=focal,
        centre=width / 2,
        horizon=mount.horizon * height + bounce * focal,
        s=s,
        u=mount.lane + 0.15 * math.sin(0.4 * seconds + e),
        eye=mount.eye + 0.012 * math.sin(7.1 * seconds + a),
        yaw=yaw,
        curve=curve_of(seed),
    )
