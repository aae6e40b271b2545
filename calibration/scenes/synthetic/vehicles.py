"""Cars, vans and buses: a side view, extruded to the width of the car.

Only the visible parts are drawn: the nearer side, then the near end from the bumper up to the edge
of the roof.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from calibration.scenes.synthetic.canvas import Canvas, Stroke, fixed
from calibration.scenes.synthetic.items import Colour, Label, Vehicle
from calibration.scenes.synthetic.light import Light

Outline = tuple[tuple[float, float], ...]
_GLASS: Colour = (70, 62, 54)
_TYRE: Colour = (28, 28, 28)
_TURN = 2 * math.pi * np.arange(12) / 12
#: A wheel of radius 1, upright along the road.
_RIM = np.stack([np.cos(_TURN), np.zeros(12), np.sin(_TURN)], axis=1)


@dataclass(frozen=True)
class _Body:
    """A side view, in metres: (along from the rear, up), the rear on the left.

    ``back`` and ``front`` run from the bumper up to the edge of the roof, in that order: lower
    body, deck, window. ``side_glass`` is the window band.
    """

    length: float
    width: float
    back: Outline
    front: Outline
    side_glass: Outline
    wheel: float


_BODIES: dict[str, _Body] = {
    "hatchback": _Body(
        3.9, 1.7,
        ((0.0, 0.28), (-0.02, 0.85), (0.12, 0.98), (0.5, 1.43)),
        ((3.9, 0.28), (3.9, 0.7), (2.95, 0.98), (2.1, 1.45)),
        ((0.45, 0.98), (0.75, 1.36), (2.0, 1.38), (2.75, 0.96)),
        0.31,
    ),
    "saloon": _Body(
        4.5, 1.76,
        ((0.0, 0.28), (0.0, 0.85), (0.65, 0.98), (1.25, 1.4)),
        ((4.5, 0.28), (4.5, 0.68), (3.35, 0.95), (2.5, 1.42)),
        ((0.95, 0.98), (1.4, 1.33), (2.45, 1.36), (3.15, 0.95)),
        0.33,
    ),
    "estate": _Body(
        4.5, 1.8,
        ((0.0, 0.3), (-0.02, 0.9), (0.06, 1.05), (0.35, 1.55)),
        ((4.5, 0.3), (4.5, 0.8), (3.4, 1.06), (2.6, 1.57)),
        ((0.3, 1.06), (0.55, 1.47), (2.5, 1.5), (3.2, 1.04)),
        0.36,
    ),
    "van": _Body(
        5.0, 1.95,
        ((0.0, 0.35), (0.0, 1.15), (0.02, 1.2), (0.06, 2.15)),
        ((5.0, 0.35), (5.0, 0.95), (4.35, 1.2), (3.6, 2.15)),
        ((2.9, 1.22), (2.9, 1.85), (3.6, 1.85), (4.2, 1.22)),
        0.36,
    ),
    "bus": _Body(
        10.5, 2.5,
        ((0.0, 0.4), (0.0, 1.3), (0.02, 1.35), (0.05, 3.0)),
        ((10.5, 0.4), (10.5, 1.1), (10.48, 1.15), (10.3, 3.0)),
        ((0.4, 1.35), (0.4, 2.4), (10.0, 2.4), (10.0, 1.35)),
        0.48,
    ),
}  # fmt: skip


@lru_cache(maxsize=64)
def _model(kind: str, forward: bool, right: bool) -> NDArray[np.float64]:
    """All corners of a vehicle as (along, across, up), its near end at 0.

    ``forward`` shows the rear to the camera; ``right`` tells that its right side is the near one.
    Rows: 0..3 near end on the left, 4..7 on the right, 8..15 the side's outline, 16..19 its
    glass, 20..25 lamps and plate on the near end, left and right, bottom and top.
    """
    body = _BODIES[kind]
    near, far = (body.back, body.front) if forward else (body.front, body.back)
    glass = body.side_glass

    def along(x: float) -> float:
        return x if forward else body.length - x

    half = body.width / 2
    taper = (1.0, 1.0, 0.96, 0.8 if kind not in ("van", "bus") else 0.94)
    ends = [(along(x), sign * half * t, y) for sign in (-1, 1)
            for (x, y), t in zip(near, taper, strict=True)]  # fmt: skip
    sign = 1 if right else -1
    around = [*zip(near, taper, strict=True), *zip(far[::-1], taper[::-1], strict=True)]
    side = [(along(x), sign * half * t, y) for (x, y), t in around]
    lean = (0.97, 0.85, 0.85, 0.97)
    panes = [(along(x), sign * half * t, y) for (x, y), t in zip(glass, lean, strict=True)]
    low, high = near[0][1], near[1][1]
    details = [(along(near[0][0]), x * half, low + (high - low) * part)
               for x, part in ((-0.95, 0.6), (-0.68, 0.92), (0.68, 0.6), (0.95, 0.92),
                               (-0.26, 0.32), (0.26, 0.5))]  # fmt: skip
    return np.array(ends + side + panes + details)


@dataclass(frozen=True)
class _Look:
    """How one vehicle stands before the camera."""

    vehicle: Vehicle
    near: float
    right: bool
    small: bool
    wall: float

    def paint(self, canvas: Canvas, colour: Colour, gain: float) -> Stroke:
        return canvas.stroke(colour, Label.CAR, self.near, gain)


def draw_vehicle(canvas: Canvas, vehicle: Vehicle, light: Light) -> None:
    """Draw one vehicle; all of it is of class Car, buses and vans included (as in CamVid)."""
    view, body = canvas.view, _BODIES[vehicle.kind]
    near = vehicle.s - body.length / 2
    if near + body.length < view.s + 0.6:
        return
    right = view.sideways(near) + vehicle.u < 0
    look = _Look(
        vehicle=vehicle,
        near=near,
        right=right,
        small=view.focal / max(near - view.s, 1) < 14,
        wall=light.on_wall(-1.0 if right else 1.0),
    )
    corners = _model(vehicle.kind, vehicle.forward, right)
    points = view.project(corners + np.array([near, vehicle.u, 0.0]))
    if points[:, 0].max() < 0 or points[:, 0].min() > view.width:
        return
    _draw_side(canvas, look, fixed(points))
    # A car beside the camera has its near end behind it.
    if near > view.s + 0.6:
        _draw_end(canvas, look, points)


def _draw_side(canvas: Canvas, look: _Look, points: NDArray[np.int32]) -> None:
    colour = look.vehicle.paint
    canvas.outline(points[8:16], look.paint(canvas, colour, 0.85 * look.wall))
    if not look.small:
        sill = points[[8, 9, 14, 15]]
        sill[1] = 0.65 * sill[0] + 0.35 * sill[1]
        sill[2] = 0.65 * sill[3] + 0.35 * sill[2]
        canvas.fill(sill, look.paint(canvas, colour, 0.6 * look.wall))
        _draw_wheels(canvas, look)
    if look.small:
        return
    canvas.fill(points[16:20], look.paint(canvas, _GLASS, 0.9))
    if look.vehicle.kind != "van":
        # The pillar between the doors.
        foot, head = 0.5 * (points[16] + points[19]), 0.5 * (points[17] + points[18])
        wide = 0.04 * (points[19] - points[16])
        pillar = np.array([foot - wide, foot + wide, head + wide, head - wide])
        canvas.fill(pillar.astype(np.int32), look.paint(canvas, colour, 0.7 * look.wall))


def _draw_end(canvas: Canvas, look: _Look, points: NDArray[np.float64]) -> None:
    """Body, deck and window of the near end, with bumper, lamps and number plate."""
    colour, corners = look.vehicle.paint, fixed(points)
    if look.small:
        canvas.fill(corners[[0, 2, 6, 4]], look.paint(canvas, colour, 1))
        canvas.fill(corners[[2, 3, 7, 6]], look.paint(canvas, _GLASS, 1.2))
        return
    body, deck, frame = (corners[[k, k + 1, k + 5, k + 4]] for k in range(3))
    canvas.fill(body, look.paint(canvas, colour, 0.95))
    canvas.fill(deck, look.paint(canvas, colour, 1.25))
    canvas.fill(frame, look.paint(canvas, colour, 0.8))
    middle = frame.mean(axis=0)
    pane = middle + (frame - middle) * (0.9, 0.84)
    canvas.fill(pane.astype(np.int32), look.paint(canvas, _GLASS, 1.2))
    # The bumper is the lower third of the body.
    bumper = body.copy()
    bumper[1:3] = body[[0, 3]] + 0.3 * (body[1:3] - body[[0, 3]])
    canvas.fill(bumper, look.paint(canvas, (52, 52, 52), 1))
    lamp: Colour = (40, 35, 190) if look.vehicle.forward else (215, 225, 230)
    plate: Colour = (80, 190, 205) if look.vehicle.forward else (215, 215, 215)
    boxes = points[20:26].reshape(3, 4).tolist()
    for (left, low, right, high), fill in zip(boxes, (lamp, lamp, plate), strict=True):
        canvas.upright((left, right), (high, low), look.paint(canvas, fill, 1))


def _draw_wheels(canvas: Canvas, look: _Look) -> None:
    """Both wheels of the side that is seen."""
    body = _BODIES[look.vehicle.kind]
    u = look.vehicle.u + (1 if look.right else -1) * body.width / 2
    ends = [s for at in (0.19, 0.81) if (s := look.near + body.length * at) > canvas.view.s + 1]
    if not ends:
        return
    middles = np.array([(s, u, body.wheel) for s in ends])[:, None]
    for radius, colour in ((body.wheel, _TYRE), (body.wheel * 0.6, (110, 110, 110))):
        rims = canvas.view.project(middles + radius * _RIM)
        canvas.polygons(rims, look.paint(canvas, colour, 1))
