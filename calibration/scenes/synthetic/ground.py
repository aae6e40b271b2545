"""The ground: road, pavements, side roads, verges and the marks on the road."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from calibration.scenes.synthetic.camera import FAR, View
from calibration.scenes.synthetic.canvas import Canvas, Stroke
from calibration.scenes.synthetic.items import Colour, Item, Label
from calibration.scenes.synthetic.light import Light
from calibration.scenes.synthetic.shading import quads, shade_ground
from calibration.scenes.synthetic.street import (
    BLOCK,
    LANE,
    MOUTH,
    SECTION,
    Edges,
    edges_at,
    mouths_of,
    section_of,
)


@dataclass(frozen=True)
class Tones:
    """Colours of the ground on one drive, BGR."""

    road: Colour
    pavement: Colour
    kerb: Colour
    grass: Colour
    marks: Colour
    yellow: Colour
    lane: Colour


@lru_cache(maxsize=64)
def tones_of(seed: int) -> Tones:
    """The colours of road, pavement and grass on one drive."""
    rng = np.random.default_rng([seed, 18])

    def mixed(base: Sequence[int], low: float, high: float) -> Colour:
        light, tint = rng.uniform(low, high), rng.uniform(0.96, 1.04, 3)
        blue, green, red = (int(min(250, b * light * t)) for b, t in zip(base, tint, strict=True))
        return blue, green, red

    return Tones(
        road=mixed((100, 98, 95), 0.7, 1.3),
        pavement=mixed((118, 122, 124), 0.7, 1.35),
        kerb=mixed((140, 144, 145), 0.8, 1.3),
        grass=mixed((48, 92, 78), 0.7, 1.25),
        marks=mixed((205, 206, 205), 0.85, 1.15),
        yellow=mixed((70, 165, 185), 0.8, 1.15),
        lane=mixed((78, 80, 120), 0.8, 1.2),
    )


def draw_ground(canvas: Canvas, seed: int, light: Light, items: Sequence[Item]) -> None:
    """Road, pavements, side roads, grass and marks, with texture and shadows."""
    view, tones = canvas.view, tones_of(seed)
    top = max(0, math.floor(view.horizon) + 1)
    if top >= view.height:
        return
    s = view.s + np.concatenate([[0.5, 1, 1.6, 2.3, 3, 4], np.geomspace(5, 400, 40)])
    edges = edges_at(seed, s)
    _draw_verges(canvas, seed, tones, s)
    for side, sign in ((0, -1), (1, 1)):
        # From the outer to the inner strip, each over the one before.
        for line, colour, label in (
            (edges.back[side], tones.pavement, Label.PAVEMENT),
            (edges.kerb[side] + 0.16, tones.kerb, Label.PAVEMENT),
        ):
            _band(canvas, s, (0 * s, sign * line), canvas.stroke(colour, label, view.s + 8))
    _draw_mouths(canvas, seed, tones)
    road = canvas.stroke(tones.road, Label.ROAD, view.s + 8)
    _band(canvas, s, (-edges.kerb[0], edges.kerb[1]), road)
    _draw_marks(canvas, seed, tones, s, edges)
    shade_ground(canvas, seed, light, items)


def _band(
    canvas: Canvas,
    s: NDArray[np.float64],
    across: tuple[NDArray[np.float64], NDArray[np.float64]],
    stroke: Stroke,
) -> None:
    """Fill the strip of ground between two lines along the road."""
    left, right = (np.stack([s, u, 0 * s], axis=1) for u in across)
    canvas.polygon(canvas.view.project(np.concatenate([left, right[::-1]])), stroke)


def _draw_verges(canvas: Canvas, seed: int, tones: Tones, s: NDArray[np.float64]) -> None:
    """What lies behind the pavements, section by section, from far to near."""
    view = canvas.view
    first, last = int(view.s // SECTION), int((view.s + FAR + 60) // SECTION)
    for number in range(last, first - 1, -1):
        style = section_of(seed, number).style
        colour, label = (
            (tones.grass, Label.TREE) if style.grass else (tones.pavement, Label.PAVEMENT)
        )
        start = max(number * SECTION, view.s + 0.5)
        part = np.array([start, start + 1, s[-1]]) if number == last else np.array(
            [start, (number + 1) * SECTION]
        )  # fmt: skip
        wide = np.full(len(part), 900.0)
        stroke = canvas.stroke(colour, label, view.s + 12)
        _band(canvas, part, (-wide, wide), stroke)
    y = math.floor(view.horizon) + 1
    below = canvas.pixels[max(y, 0) : y + 2]
    # The rows at the horizon itself lie beyond the last metre that is drawn.
    below[...] = np.array(canvas.stroke(tones.grass, Label.TREE, view.s + 200), np.uint8)


def _draw_mouths(canvas: Canvas, seed: int, tones: Tones) -> None:
    """Side roads, through pavement and gardens."""
    view = canvas.view
    for block in range(int((view.s + FAR) // BLOCK), int(view.s // BLOCK) - 1, -1):
        for side, mouth in enumerate(mouths_of(seed, block)):
            start, end = (max(block * BLOCK + x, view.s + 0.5) for x in (0.5, MOUTH - 0.5))
            if mouth and end > start + 0.1:
                far = 70.0 if side else -70.0
                quad = quads(np.array([[start, end, 0.0, far]]))
                stroke = canvas.stroke(tones.road, Label.ROAD, start)
                canvas.polygons(view.project(quad), stroke)


def _draw_marks(
    canvas: Canvas, seed: int, tones: Tones, s: NDArray[np.float64], edges: Edges
) -> None:
    """Middle line, yellow lines at the kerb, cycle lanes, crossings."""
    view = canvas.view
    white = canvas.stroke(tones.marks, Label.ROAD, view.s + 10)
    near = s[s < view.s + 60]
    for number in (int((view.s + 30) // SECTION), int(view.s // SECTION)):
        section = section_of(seed, number)
        part = near[(near >= number * SECTION) & (near < (number + 1) * SECTION)]
        if len(part) < 2:
            continue
        for side, sign in ((0, -1), (1, 1)):
            kerb = np.interp(part, s, edges.kerb[side]) * sign
            if section.cycle_lane and not section.bays[side]:
                red = canvas.stroke(tones.lane, Label.ROAD, view.s + 10)
                _band(canvas, part, (kerb, kerb - sign * 1.3), red)
                _band(canvas, part, (kerb - sign * 1.3, kerb - sign * 1.42), white)
            elif section.yellow_lines and not section.bays[side]:
                yellow = canvas.stroke(tones.yellow, Label.ROAD, view.s + 10)
                for gap in (0.22, 0.42):
                    _band(canvas, part, (kerb - sign * gap, kerb - sign * (gap + 0.09)), yellow)
            elif section.bays[side]:
                _band(canvas, part, (part * 0 + sign * LANE, part * 0 + sign * (LANE + 0.1)), white)
    dash = np.arange(math.floor(view.s / 6) * 6, view.s + 90, 6.0)
    boxes = np.stack([dash, dash + 3.2, 0 * dash - 0.06, 0 * dash + 0.06], axis=1)
    boxes = np.concatenate([boxes, _crossings(seed, view)])
    boxes[:, :2] = np.maximum(boxes[:, :2], view.s + 0.5)
    boxes = boxes[boxes[:, 1] - boxes[:, 0] > 0.05]
    canvas.polygons(view.project(quads(boxes)), white)


def _crossings(seed: int, view: View) -> NDArray[np.float64]:
    """Stripes of zebra crossings and stop lines in sight, as boxes."""
    boxes: list[tuple[float, float, float, float]] = []
    for block in range(int(view.s // BLOCK), int((view.s + 70) // BLOCK) + 1):
        if any(mouths_of(seed, block)):
            start = block * BLOCK - 4.5
            if block % 2:
                boxes += [(start, start + 2.6, u, u + 0.45) for u in np.arange(-3.4, 3.2, 0.9)]
            else:
                boxes.append((start, start + 0.35, -LANE + 0.2, -0.2))
    return np.array(boxes).reshape(-1, 4)
