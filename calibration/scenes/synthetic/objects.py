"""Drawing what stands and walks beside the road: houses, fences, trees, posts, people."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from calibration.scenes.synthetic import facades, sprites
from calibration.scenes.synthetic.camera import View
from calibration.scenes.synthetic.canvas import Canvas, Part, Point, Shade, fixed
from calibration.scenes.synthetic.items import (
    Barrier,
    Building,
    Colour,
    Item,
    Label,
    Person,
    Post,
    Tree,
    Vehicle,
)
from calibration.scenes.synthetic.light import Light
from calibration.scenes.synthetic.vehicles import draw_vehicle

#: Surfaces nearer to the camera than this many metres are cut off; they lie outside the picture.
_CUT = 0.8


def draw_items(canvas: Canvas, items: Sequence[Item], light: Light) -> None:
    """Draw everything from far to near."""
    for item in sorted(items, key=lambda i: _depth(i, canvas.view), reverse=True):
        match item:
            case Building():
                _draw_building(canvas, item, light)
            case Barrier():
                _draw_barrier(canvas, item, light)
            case Tree():
                _draw_tree(canvas, item)
            case Post():
                _draw_post(canvas, item)
            case Vehicle():
                draw_vehicle(canvas, item, light)
            case Person():
                _draw_person(canvas, item)


def _depth(item: Item, view: View) -> float:
    """Rank from near to far.

    Of two objects on one line of sight the farther one has both the larger ``s`` and the larger
    distance from the camera's path, so their sum gives a correct order; it also keeps a walker
    beside a long parked car behind it. Long objects count from their far end, so that objects
    before them are drawn later.
    """
    s = item.end if isinstance(item, Building | Barrier) else item.s
    return s + abs(item.u - view.u)


def _upright(
    view: View, along: tuple[float, float], u: float, rows: tuple[float, float]
) -> list[Point]:
    """Corners of an upright face along the road: top start, top end, foot end, foot start."""
    (left, ground, scale), (right, floor, size) = view.foot(along[0], u), view.foot(along[1], u)
    low, high = rows
    return [
        (left, ground - high * scale),
        (right, floor - high * size),
        (right, floor - low * size),
        (left, ground - low * scale),
    ]


def _draw_building(canvas: Canvas, house: Building, light: Light) -> None:
    view = canvas.view
    if house.end < view.s + _CUT + 0.2:
        return
    variant = house.variant % facades.VARIANTS
    colour = facades.wall_colour(house.kind, variant)
    out = 1 if house.u > 0 else -1
    depth = 8.0 * out
    if house.pitched:
        _draw_roof(canvas, house, light)
    if house.exposed and house.start > view.s + 0.5:
        outline = ((0, 0), (0, house.height), (depth, house.height), (depth, 0))
        near = [(house.start, house.u + x, y) for x, y in outline]
        if house.pitched:
            near.insert(2, (house.start, house.u + depth / 2, house.height + 2.6))
        wall = canvas.stroke(colour, Label.BUILDING, house.start, 0.72)
        canvas.fill(fixed(view.project(np.array(near))), wall)
    bays = round((house.end - house.start) / facades.MODULE)
    floors = round(house.height / facades.MODULE)
    start = max(house.start, view.s + _CUT)
    cut = (start - house.start) / (house.end - house.start)
    part = Part(left=cut, right=bays / facades.BAYS, top=1 - floors / facades.FLOORS)
    corners = _upright(view, (start, house.end), house.u, (0, house.height))
    shade = Shade(Label.BUILDING, (start + house.end) / 2, light.on_wall(house.u))
    canvas.surface(corners, facades.front(house.kind, variant), shade, part)
    if not house.pitched:
        # A cornice closes the top.
        rows = house.height - 0.2, house.height + 0.1
        edge = canvas.stroke(colour, Label.BUILDING, start, 0.75)
        canvas.fill(fixed(np.array(_upright(view, (start, house.end), house.u, rows))), edge)


def _draw_roof(canvas: Canvas, house: Building, light: Light) -> None:
    """The half of a pitched roof that looks to the road, and a chimney."""
    view, ridge = canvas.view, house.u + math.copysign(4.0, house.u)
    colour: Colour = ((92, 86, 82), (70, 72, 78), (62, 78, 122))[house.variant % 3]
    top = house.height + 2.6
    if view.eye > house.height - 2.6 / 4 * abs(house.u - view.u):
        # A camera below the roof's plane does not see it behind the front.
        corners = [(house.start, house.u, house.height), (house.end, house.u, house.height),
                   (house.end, ridge, top), (house.start, ridge, top)]  # fmt: skip
        stroke = canvas.stroke(colour, Label.BUILDING, house.start, light.on_wall(house.u))
        canvas.fill(fixed(view.project(np.array(corners))), stroke)
    if house.start > view.s + 1 and house.variant % 4:
        chimney = [(house.start, ridge + x, top + y)
                   for x, y in ((-0.5, -0.4), (-0.5, 1.3), (0.5, 1.3), (0.5, -0.4))]  # fmt: skip
        brick = canvas.stroke((70, 84, 112), Label.BUILDING, house.start, 0.9)
        canvas.fill(fixed(view.project(np.array(chimney))), brick)


_BARRIER_LABELS = {"hedge": Label.TREE, "wall": Label.BUILDING}


def _draw_barrier(canvas: Canvas, barrier: Barrier, light: Light) -> None:
    """Repeat the drawing of 6 m of fence along the barrier."""
    view = canvas.view
    texture = facades.barrier(barrier.kind, barrier.variant % facades.VARIANTS)
    label = _BARRIER_LABELS.get(barrier.kind, Label.FENCE)
    pieces = max(1, round((barrier.end - barrier.start) / 6))
    length = (barrier.end - barrier.start) / pieces
    for k in reversed(range(pieces)):
        start = barrier.start + k * length
        end = start + length
        if end < view.s + _CUT + 0.2:
            continue
        near = max(start, view.s + _CUT)
        corners = _upright(view, (near, end), barrier.u, (0, barrier.height))
        shade = Shade(label, near, light.on_wall(barrier.u))
        canvas.surface(corners, texture, shade, Part(left=(near - start) / length))


def _stand(
    canvas: Canvas, place: tuple[float, float], height: float, aspect: float
) -> tuple[float, float, float, float] | None:
    """The picture box of something upright on the ground, or None behind the camera."""
    if place[0] < canvas.view.s + 1:
        return None
    x, foot, scale = canvas.view.foot(*place)
    half = height * aspect * scale / 2
    return x - half, foot - height * scale, x + half, foot


def _draw_tree(canvas: Canvas, tree: Tree) -> None:
    box = _stand(canvas, (tree.s, tree.u), tree.height, sprites.TREE_ASPECT)
    if box:
        texture = sprites.tree(tree.variant % sprites.TREES, tree.bare)
        canvas.sprite(box, texture, Shade(Label.TREE, tree.s))


def _draw_person(canvas: Canvas, person: Person) -> None:
    cycling = person.cycling
    aspect = sprites.CYCLIST_ASPECT if cycling else sprites.PERSON_ASPECT
    box = _stand(canvas, (person.s, person.u), person.height, aspect)
    if box is None:
        return
    if cycling:
        texture = sprites.cyclist(person.variant % sprites.CYCLISTS, person.phase)
        canvas.sprite(box, texture, Shade(Label.BICYCLIST, person.s))
    else:
        texture = sprites.person(person.variant % sprites.PEOPLE, person.phase)
        canvas.sprite(box, texture, Shade(Label.PEDESTRIAN, person.s))


def _draw_post(canvas: Canvas, post: Post) -> None:
    """Draw a pole from the ground up, then what it carries."""
    view = canvas.view
    if post.s < view.s + 1:
        return
    x, foot, scale = view.foot(post.s, post.u)
    height, thick = {
        "lamp": (8.0 if post.variant else 6.0, 0.16),
        "sign": (2.3 + 0.2 * (post.variant % 4), 0.09),
        "lights": (2.4, 0.13),
        "bollard": (1.0, 0.17),
        "bin": (1.15, 0.6),
    }[post.kind]
    tone = (62, 92, 120, 46, 78)[post.variant % 5] if post.kind != "lamp" else 88
    label = Label.VOID if post.kind == "bin" else Label.POLE
    stroke = canvas.stroke((tone, tone, tone - 3), label, post.s)
    half = thick * scale / 2
    canvas.upright((x - half, x + half), (foot - height * scale, foot), stroke)
    if post.kind == "lamp":
        top, reach = foot - height * scale, -math.copysign(1.5 * scale, post.u)
        arm = sorted((x, x + reach))
        canvas.upright((arm[0], arm[1]), (top, top + 0.1 * scale), stroke)
        head = sorted((x + reach, x + 0.6 * reach))
        lamp = canvas.stroke((150, 152, 150), Label.POLE, post.s)
        canvas.upright((head[0], head[1]), (top - 0.08 * scale, top + 0.14 * scale), lamp)
    elif post.kind == "sign":
        _draw_sign(canvas, post, (x, foot - height * scale), scale)
    elif post.kind == "lights":
        _draw_lights(canvas, post, (x, foot - height * scale), scale)
    elif post.kind == "bollard":
        band = canvas.stroke((205, 205, 205), Label.POLE, post.s)
        rows = (foot - 0.85 * scale, foot - 0.7 * scale)
        canvas.upright((x - half, x + half), rows, band)


_RED: Colour = (45, 40, 175)
_BLUE: Colour = (165, 95, 40)
_WHITE: Colour = (218, 220, 220)
_YELLOW: Colour = (60, 175, 205)


#: Corners, radius in metres and turn of a sign's outline; colours of its rim and its face.
_SIGNS: tuple[tuple[tuple[int, float, float], Colour, Colour], ...] = (
    ((16, 0.34, 0.0), _RED, _WHITE),
    ((16, 0.34, 0.0), _BLUE, _BLUE),
    ((3, 0.45, -math.pi / 2), _RED, _WHITE),
    ((4, 0.5, math.pi / 4), _WHITE, _BLUE),
    ((4, 0.75, math.pi / 4), _WHITE, (70, 110, 50)),
    ((16, 0.3, 0.0), _RED, _RED),
)


def _draw_sign(canvas: Canvas, post: Post, top: tuple[float, float], scale: float) -> None:
    """A disc, a triangle or a board; posts that look away show the grey back of the sign."""
    kind = post.variant // 8 % len(_SIGNS)
    (sides, size, turn), rim, face = _SIGNS[kind]
    if post.u > 0 and post.variant % 2:
        rim = face = (112, 114, 114)
    outline = _ring(sides, turn) * size * scale
    middle = np.array([top[0], top[1] + 0.1 * scale])
    for share, colour in ((1.0, rim), (0.74, face)):
        canvas.fill(fixed(middle + share * outline), canvas.stroke(colour, Label.SIGN, post.s))
    if kind in (0, 3, 4) and scale > 25 and rim != face:
        mark = canvas.stroke((50, 48, 46) if kind == 0 else _WHITE, Label.SIGN, post.s)
        for row in (-0.14, 0.04):
            wide, high = 0.3 * size * scale, 0.16 * size * scale
            y = middle[1] + row * 2 * size * scale
            canvas.upright((middle[0] - wide, middle[0] + wide), (y, y + high), mark)


def _draw_lights(canvas: Canvas, post: Post, top: tuple[float, float], scale: float) -> None:
    """A traffic light with one lamp lit."""
    x, y = top
    black = canvas.stroke((32, 32, 30), Label.SIGN, post.s)
    canvas.upright((x - 0.2 * scale, x + 0.2 * scale), (y - 0.9 * scale, y + 0.15 * scale), black)
    lit = post.variant % 3
    for k, colour in enumerate((_RED, _YELLOW, (90, 190, 60))):
        lamp = canvas.stroke(colour, Label.SIGN, post.s, 1.4 if k == lit else 0.35)
        middle = np.array([x, y + (-0.72 + 0.32 * k) * scale])
        canvas.fill(fixed(middle + 0.11 * scale * _ring(8, 0)), lamp)


@lru_cache(maxsize=16)
def _ring(sides: int, turn: float) -> NDArray[np.float64]:
    """Corners (sides, 2) of a regular polygon with radius 1."""
    angles = turn + 2 * math.pi * np.arange(sides) / sides
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)
