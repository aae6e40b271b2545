"""Texture and shadows of the ground: a brightness map that multiplies the drawn ground."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from calibration.scenes.synthetic.camera import View
from calibration.scenes.synthetic.canvas import Canvas, Points, fixed
from calibration.scenes.synthetic.items import Building, Item, Tree, Vehicle
from calibration.scenes.synthetic.light import Light
from calibration.scenes.synthetic.street import LANE

#: Ground texture: pixels per metre, and its size in metres along and across.
_DENSITY, _ALONG, _ACROSS = 16, 32, 40
#: Metres of ground that carry texture and shadows; beyond, both are smaller than a pixel.
_NEAR_GROUND = 36.0
#: Value of the brightness map that leaves a colour unchanged.
_NEUTRAL = 160


def quads(boxes: NDArray[np.float64]) -> Points:
    """Corners (k, 4, 3) on the ground, from boxes (k, 4) of start, end, left, right."""
    start, end, left, right = boxes.T
    flat = np.zeros_like(start)
    corners = ((start, left), (end, left), (end, right), (start, right))
    return np.stack([np.stack([s, u, flat], axis=1) for s, u in corners], axis=1)


def shade_ground(canvas: Canvas, seed: int, light: Light, items: Sequence[Item]) -> None:
    """Multiply the ground with its texture and with the shadows on it."""
    view = canvas.view
    top = max(0, math.floor(view.horizon + view.focal * view.eye / _NEAR_GROUND) + 1)
    if top >= view.height:
        return
    shadows = np.full((view.height - top, view.width), 255, np.uint8)
    dark = round(255 * (1 - 0.55 * light.sun))
    down = np.array([0, top])
    if light.sun > 0.05:
        for corners in _shadows(view, light, items):
            points = fixed(view.project(corners) - down)
            cv2.fillPoly(shadows, [points], dark, cv2.LINE_8, 4)
    for quad in _under_cars(view, items):
        points = fixed(view.project(quad) - down)
        cv2.fillPoly(shadows, [points], min(dark, 95), cv2.LINE_8, 4)
    factor = cv2.multiply(cv2.blur(shadows, (3, 3)), _grain(view, seed, top), scale=1 / 255)
    ground = canvas.pixels[top:]
    colours = cv2.cvtColor(ground, cv2.COLOR_BGRA2BGR)
    spread = cv2.cvtColor(factor, cv2.COLOR_GRAY2BGR)
    ground[..., :3] = cv2.multiply(colours, spread, scale=1 / _NEUTRAL)


def _grain(view: View, seed: int, top: int) -> NDArray[np.uint8]:
    """The ground's texture as the camera sees it, around ``_NEUTRAL``, from row ``top`` down."""
    grain = np.full((view.height - top, view.width), _NEUTRAL, np.uint8)
    texture, begin = _ground_texture(seed % 4), view.s % _ALONG
    below = view.height
    for far, shrink in _BANDS:
        row = max(top, round(view.horizon + view.focal * view.eye / far))
        near = view.focal * view.eye / (below - view.horizon)
        if row >= below:
            continue
        # A bend is a straight line within one band.
        places = np.array([(z, u) for z in (near, far) for u in (-9.0, 9.0)])
        points = np.array([view.foot(view.s + z, u)[:2] for z, u in places]) - (0, row)
        source = (places[:, ::-1] + (_ACROSS / 2, begin)) * (_DENSITY, _DENSITY / shrink)
        matrix = cv2.getPerspectiveTransform(source.astype(np.float32), points.astype(np.float32))
        band = cv2.warpPerspective(
            texture[shrink], matrix, (view.width, below - row), borderMode=cv2.BORDER_REFLECT
        )
        grain[row - top : below - top] = band
        below = row
    return grain


#: Distance in metres up to which so many texture rows are averaged: far picture rows show metres of
#: ground at once, and would flicker otherwise.
_BANDS = ((5.0, 1), (11.0, 2), (20.0, 8), (_NEAR_GROUND, 16))


@lru_cache(maxsize=4)
def _ground_texture(variant: int) -> dict[int, NDArray[np.uint8]]:
    """Stones, tyre tracks, patches, cracks and drain covers, by the number of averaged rows.

    The texture is repeated three times along the road.
    """
    rng = np.random.default_rng([19, variant])
    height, width = _ALONG * _DENSITY, _ACROSS * _DENSITY
    texture = rng.normal(_NEUTRAL, 13, (height, width)).astype(np.float32)
    for cells, weight in ((4, 7.0), (16, 6.0), (64, 5.0)):
        noise = rng.normal(0, weight, (cells, cells)).astype(np.float32)
        tiled = cv2.resize(np.tile(noise, (3, 1)), (width, 3 * height))
        texture += tiled[height : 2 * height]
    across = (np.arange(width) / _DENSITY - _ACROSS / 2)[None]
    for track in (-2.4, -1.0, 1.0, 2.4):
        texture -= 9 * np.exp(-(((across - track) / 0.3) ** 2))
    # Slabs of the pavements, where no road is.
    beyond = np.abs(across[0]) > LANE + 0.3
    texture[:: _DENSITY * 4 // 5, beyond] -= 22
    for _ in range(26):
        _wear(texture, rng)
    road = np.tile(np.clip(texture, 0, 255).astype(np.uint8), (3, 1))
    sizes = {shrink: (width, 3 * height // shrink) for _, shrink in _BANDS}
    return {
        shrink: np.asarray(cv2.resize(road, size, interpolation=cv2.INTER_AREA), np.uint8)
        for shrink, size in sizes.items()
    }


def _wear(texture: NDArray[np.float32], rng: Generator) -> None:
    """One mended patch, crack or drain cover within the carriageway."""
    height, width = texture.shape
    x = int(width / 2 + rng.uniform(-LANE, LANE) * _DENSITY)
    y = int(rng.integers(0, height - 90))
    kind = rng.random()
    if kind < 0.35:
        rows, columns = rng.integers(12, 90), rng.integers(10, 40)
        texture[y : y + rows, x : x + columns] += rng.uniform(-24, 16)
    elif kind < 0.75:
        steps = rng.integers(-5, 6, (12, 2)) + np.array([0, 5])
        crack = np.cumsum(steps, axis=0) + np.array([x, y])
        cv2.polylines(texture, [crack.astype(np.int32)], False, _NEUTRAL - 45.0, 1)
    else:
        cv2.ellipse(texture, (x, y), (5, 5), 0, 0, 360, _NEUTRAL - 55.0, cv2.FILLED)


def _shadows(view: View, light: Light, items: Sequence[Item]) -> list[Points]:
    """Outlines of the shadows that houses and trees on the sun's side throw on the ground."""
    outlines = []
    for item in items:
        if isinstance(item, Building | Tree) and item.u * light.side > 0:
            if isinstance(item, Building) and item.start < view.s + _NEAR_GROUND:
                reach = item.u - light.side * 0.75 * item.height
                start, end = max(item.start, view.s + 0.5), max(item.end, view.s + 0.5)
                outlines.append(quads(np.array([[start, end, item.u, reach]]))[0])
            elif isinstance(item, Tree) and view.s - 4 < item.s < view.s + _NEAR_GROUND:
                turn = np.linspace(0, 2 * math.pi, 11)[:-1]
                size = item.height * 0.36 * (1 + 0.3 * np.sin(3 * turn + item.variant))
                s = np.maximum(item.s + size * np.sin(turn), view.s + 0.5)
                u = item.u - light.side * 0.55 * item.height + size * np.cos(turn)
                outlines.append(np.stack([s, u, 0 * s], axis=1))
    return outlines


def _under_cars(view: View, items: Sequence[Item]) -> Points:
    """The dark ground below cars, as quads (k, 4, 3)."""
    boxes = [
        (max(i.s - 2.2, view.s + 0.5), max(i.s + 2.2, view.s + 0.6), i.u - 0.95, i.u + 0.95)
        for i in items
        if isinstance(i, Vehicle) and i.s < view.s + _NEAR_GROUND
    ]
    return quads(np.array(boxes).reshape(-1, 4))
