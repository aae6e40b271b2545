"""House fronts, drawn once: a bank of textures by kind and variant.

A front is drawn for the longest and tallest house (15 m by eight floors of 3 m); a smaller house
uses its lower left part, so that shops and doors are always at the bottom.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from calibration.scenes.synthetic.canvas import SOLID, Texture
from calibration.scenes.synthetic.items import Colour

#: Pixels per metre, and the module of a bay and of a floor, in metres.
DENSITY, MODULE = 16, 3
BAYS, FLOORS = 5, 8
#: Different fronts per kind; more would be slower to draw for the first frames.
VARIANTS = 14

_CELL = DENSITY * MODULE
_WALLS: dict[str, tuple[Colour, ...]] = {
    "shop": ((74, 98, 128), (120, 150, 165), (175, 190, 196), (60, 70, 98), (140, 150, 150),
             (90, 120, 140), (205, 212, 215)),
    "office": ((130, 132, 130), (165, 168, 168), (95, 100, 104), (105, 135, 155), (70, 84, 110)),
    "terrace": ((70, 88, 122), (105, 138, 160), (60, 72, 105), (120, 145, 160), (190, 200, 205)),
    "house": ((65, 82, 125), (110, 135, 155), (205, 212, 215), (80, 100, 135), (160, 172, 178)),
}  # fmt: skip
_SHOPFRONTS: tuple[Colour, ...] = (
    (40, 32, 28), (35, 60, 30), (90, 40, 25), (35, 30, 120), (160, 160, 155), (45, 85, 110),
    (150, 110, 60), (30, 30, 32),
)  # fmt: skip


def wall_colour(kind: str, variant: int) -> Colour:
    """The mean colour of a front, for the plain end wall."""
    return _WALLS[kind][variant % len(_WALLS[kind])]


@lru_cache(maxsize=64)
def front(kind: str, variant: int) -> Texture:
    """The longest and tallest front of a kind, ``BAYS`` wide and ``FLOORS`` high."""
    kinds = tuple(_WALLS)
    rng = np.random.default_rng([11, kinds.index(kind), variant])
    size = (FLOORS * _CELL, BAYS * _CELL)
    wall = np.array(wall_colour(kind, variant), np.float32)
    picture = np.empty((*size, 4), np.uint8)
    picture[..., :3] = np.clip(wall * _masonry(rng, size)[..., None], 0, 255)
    picture[..., 3] = SOLID
    window = _office_window if kind == "office" else _sash_window
    look = rng.integers(1 << 30)
    for floor in range(FLOORS):
        for bay in range(BAYS):
            rows = slice((FLOORS - 1 - floor) * _CELL, (FLOORS - floor) * _CELL)
            cell = picture[rows, bay * _CELL : (bay + 1) * _CELL]
            # The windows of a front are alike; only what is behind the glass differs.
            if floor or kind == "office":
                window(cell, np.random.default_rng(look), rng)
            elif kind == "terrace" or (kind == "house" and bay != 1):
                if bay % 2 == 0:
                    _door(cell, rng)
                else:
                    _sash_window(cell, np.random.default_rng(look), rng)
    if kind == "shop":
        _shops(picture, rng)
    elif kind == "house":
        _door(picture[-_CELL:, _CELL : 2 * _CELL], rng)
    return Texture.from_picture(picture)


def _masonry(rng: Generator, size: tuple[int, int]) -> NDArray[np.float32]:
    """Brightness of a wall: bricks or blocks, stains, and dirt towards the foot."""
    height, width = size
    bricks = rng.normal(1, rng.uniform(0.03, 0.13), (height // 2, width // 4))
    grown = cv2.resize(bricks, (width, height), interpolation=cv2.INTER_NEAREST)
    stains = cv2.resize(rng.normal(0, 0.05, (9, 7)), (width, height), interpolation=cv2.INTER_CUBIC)
    dirt = np.linspace(0.03, -0.08, height)[:, None]
    masonry: NDArray[np.float32] = (grown + stains + dirt).astype(np.float32)
    masonry[::6] *= 0.95
    return masonry


def _pane(cell: NDArray[np.uint8], box: tuple[int, int, int, int], rng: Generator) -> None:
    """Glass: dark with a reflection of the sky, or a curtain; sometimes light."""
    left, top, right, bottom = box
    pick, tone = rng.random(), rng.uniform(0.6, 1.3)
    base = np.array((62, 54, 46) if pick < 0.75 else (150, 156, 160), np.float32) * tone
    fall = np.linspace(1.5, 0.7, bottom - top, dtype=np.float32)[:, None, None]
    cell[top:bottom, left:right, :3] = np.clip(base * fall, 0, 255)
    if rng.random() < 0.3:
        middle = (top + bottom) // 2
        cell[top:middle, left:right, :3] = np.clip(base * 2.4, 0, 210)


def _sash_window(cell: NDArray[np.uint8], look: Generator, rng: Generator) -> None:
    width, height = look.integers(15, 27), look.integers(23, 31)
    frame = tuple(int(c) for c in np.array((225, 228, 230)) * look.uniform(0.55, 1))
    left, top = (_CELL - width) // 2, look.integers(8, 13)
    right, bottom = int(left + width), int(top + height)
    cell[top - 3 : top, left - 2 : right + 2, :3] = np.clip(np.array(frame) * 0.85, 0, 255)
    cell[top:bottom, left:right, :3] = frame
    cell[bottom : bottom + 2, left - 3 : right + 3, :3] = np.clip(np.array(frame) * 0.7, 0, 255)
    _pane(cell, (int(left) + 2, int(top) + 2, right - 2, bottom - 2), rng)
    cross = (top + bottom) // 2
    cell[cross : cross + 1, left:right, :3] = frame
    if look.random() < 0.6:
        middle = (left + right) // 2
        cell[top:bottom, middle : middle + 1, :3] = frame


def _office_window(cell: NDArray[np.uint8], look: Generator, rng: Generator) -> None:
    band = look.random() < 0.5
    margin = 1 if band else int(look.integers(5, 12))
    top, bottom = int(look.integers(7, 16)), int(look.integers(37, 45))
    frame = np.array((120, 120, 118)) * look.uniform(0.5, 1.6)
    cell[top - 2 : bottom + 2, margin : _CELL - margin, :3] = np.clip(frame, 0, 255)
    step = (_CELL - 2 * margin) // 2
    for k in range(2):
        left = margin + 1 + k * step
        _pane(cell, (left, top, left + step - 2, bottom), rng)


def _door(cell: NDArray[np.uint8], rng: Generator) -> None:
    colour = _SHOPFRONTS[int(rng.integers(len(_SHOPFRONTS)))]
    cell[11:_CELL, 15:33, :3] = (205, 208, 210)
    cell[14:_CELL, 17:31, :3] = colour
    _pane(cell, (19, 17, 29, 25), rng)
    cell[_CELL - 2 :, 12:36, :3] = (120, 122, 122)


def _shops(front: NDArray[np.uint8], rng: Generator) -> None:
    """The ground floor as shops: boards with marks of writing, big panes, goods, doors."""
    foot = front[-_CELL - 4 :]
    at = 0
    while at < BAYS * _CELL:
        end = min(at + int(rng.integers(2, 4)) * _CELL, BAYS * _CELL)
        trim = np.array(_SHOPFRONTS[int(rng.integers(len(_SHOPFRONTS)))])
        shop = foot[:, at:end]
        shop[..., :3] = trim
        shop[:2, :, :3] = np.clip(trim * 1.4 + 15, 0, 255)
        writing = (225, 228, 228) if trim.sum() < 300 else (40, 40, 45)
        for x in range(14, min(end - at - 16, 14 + int(rng.integers(30, 90))), 5):
            # Marks that look like writing from a car.
            high = int(rng.integers(0, 3))
            shop[6 - high // 2 : 12, x : x + int(rng.integers(2, 5)), :3] = writing
        for left in range(4, end - at - 20, 24):
            right = min(left + 21, end - at - 3)
            _pane(shop, (left, 16, right, 45), rng)
            for _ in range(int(rng.integers(0, 4))):
                x, y = int(rng.integers(left, right - 5)), int(rng.integers(22, 40))
                goods = rng.integers(40, 170) + rng.integers(0, 45, 3)
                shop[y : min(y + int(rng.integers(3, 9)), 45), x : min(x + 6, right), :3] = goods
        shop[20:, -16:-4, :3] = np.clip(trim * 0.6, 0, 255)
        at = end


@lru_cache(maxsize=64)
def barrier(kind: str, variant: int) -> Texture:
    """A strip of fence, hedge or wall, 6 m long and as high as the strip (rows from the top)."""
    rng = np.random.default_rng([12, len(kind), variant])
    strip = np.zeros((36, 144, 4), np.uint8)
    if kind in ("railing", "mesh"):
        strip[...] = (*(rng.integers(30, 75, 3) if rng.random() < 0.7 else (165, 168, 168)), 128)
        step = 6 if kind == "railing" else 4
        for x in range(0, 144, step):
            strip[:, x : x + (2 if kind == "railing" else 1), 3] = SOLID
        strip[:3, :, 3] = SOLID
        strip[-6:-3, :, 3] = SOLID
        strip[:, ::72, 3] = strip[:, 1::72, 3] = strip[:, 2::72, 3] = SOLID
        if kind == "mesh":
            strip[::4, :, 3] = SOLID
        return Texture.from_picture(strip, see_through=True)
    strip[..., 3] = SOLID
    if kind == "hedge":
        leaves = rng.normal(1, 0.32, (18, 72)).astype(np.float32)
        fall = np.linspace(1.25, 0.6, 36, dtype=np.float32)[:, None]
        light = cv2.resize(leaves, (144, 36), interpolation=cv2.INTER_LINEAR) * fall
        base = np.array((38, 72, 58)) * rng.uniform(0.7, 1.2)
    else:
        light = _masonry(rng, (36, 144))
        tone = (80, 112, 140) if kind == "boards" else (95, 112, 135)
        base = np.array(tone) * rng.uniform(0.5, 1)
        if kind == "boards":
            light = np.repeat(rng.normal(1, 0.08, (1, 24)), 6, axis=1) * np.ones((36, 1))
            light[:, ::6] *= 0.55
        light[:3] *= 1.2
    strip[..., :3] = np.clip(base * light[..., None], 0, 255)
    return Texture.from_picture(strip)
