"""Drawings of trees, walkers and cyclists, placed upright in the scene."""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from calibration.scenes.synthetic.canvas import SOLID, THROUGH, Texture
from calibration.scenes.synthetic.items import Colour

TREES, PEOPLE, CYCLISTS = 12, 20, 12
#: Height of a drawing in pixels, and its width as a share of the height.
TREE_ASPECT, PERSON_ASPECT, CYCLIST_ASPECT = 0.8, 0.5, 0.6
_TALL = 192

_CLOTHES: tuple[Colour, ...] = (
    (32, 30, 30), (45, 38, 34), (70, 45, 30), (35, 32, 70), (60, 62, 60), (95, 85, 75),
    (40, 55, 42), (120, 115, 110), (30, 28, 110), (150, 120, 60), (45, 40, 48), (185, 180, 175),
)  # fmt: skip
_TROUSERS: tuple[Colour, ...] = (
    (30, 28, 28), (70, 50, 38), (48, 42, 40), (85, 78, 72), (28, 34, 44),
)  # fmt: skip
_SKIN: tuple[Colour, ...] = ((135, 155, 200), (110, 135, 180), (70, 90, 130), (45, 60, 90))
_HAIR: tuple[Colour, ...] = ((25, 25, 30), (35, 48, 70), (70, 100, 130), (120, 122, 125))


@lru_cache(maxsize=64)
def tree(variant: int, bare: bool) -> Texture:
    """A tree, trunk included, that fills a box of height 1 and width ``TREE_ASPECT``."""
    rng = np.random.default_rng([21, variant, int(bare)])
    picture = np.zeros((_TALL, int(_TALL * TREE_ASPECT), 4), np.uint8)
    bark = tuple(int(c) for c in np.array((48, 58, 66)) * rng.uniform(0.6, 1.3))
    if bare:
        picture[..., :3] = bark
        foot = (_TALL * TREE_ASPECT / 2, _TALL - 1.0)
        _branch(picture, foot, -math.pi / 2, 0.28 * _TALL, bark, rng)
        crown = cv2.dilate(picture[..., 3], np.ones((5, 5), np.uint8))
        picture[..., 3] = np.maximum(picture[..., 3], np.where(crown > 0, THROUGH, 0))
        return Texture.from_picture(picture, see_through=True)
    _leaves(picture, bark, rng)
    return Texture.from_picture(picture)


def _branch(
    picture: NDArray[np.uint8],
    foot: tuple[float, float],
    angle: float,
    length: float,
    bark: tuple[int, ...],
    rng: Generator,
) -> None:
    """A branch and its branches, down to twigs of some pixels."""
    top = (foot[0] + length * math.cos(angle), foot[1] + length * math.sin(angle))
    thick = max(1, round(length / 8 - 0.8))
    ends = [(int(x * 16), int(y * 16)) for x, y in (foot, top)]
    cv2.line(picture, ends[0], ends[1], (*bark, SOLID), thick, cv2.LINE_8, 4)
    if length < 3.5:
        return
    for along in (rng.uniform(0.35, 0.7), rng.uniform(0.6, 0.9), 1.0):
        start = (foot[0] + (top[0] - foot[0]) * along, foot[1] + (top[1] - foot[1]) * along)
        # Every branch turns up a little, towards the light.
        turned = 0.85 * (angle + rng.uniform(-0.75, 0.75)) - 0.15 * math.pi / 2
        _branch(picture, start, turned, length * rng.uniform(0.5, 0.82), bark, rng)


def _leaves(picture: NDArray[np.uint8], bark: tuple[int, ...], rng: Generator) -> None:
    """Trunk and a crown of many blobs, lighter towards the top."""
    height, width = picture.shape[:2]
    hues = ((40, 88, 70), (45, 78, 58), (38, 70, 66), (50, 95, 95), (52, 80, 88))
    base = np.array(hues[int(rng.integers(len(hues)))]) * rng.uniform(0.7, 1.15)
    picture[..., :3] = np.clip(base * 0.8, 0, 255)
    middle, low = width / 2, rng.uniform(0.55, 0.85) * height
    trunk = np.array([(middle - 5, height), (middle - 3, low - 30), (middle + 3, low - 30),
                      (middle + 5, height)])  # fmt: skip
    cv2.fillPoly(picture, [np.rint(trunk).astype(np.int32)], (*bark, SOLID))
    narrow, blobs = rng.uniform(0.55, 1), []
    for _ in range(900):
        radius, angle = math.sqrt(rng.random()), rng.uniform(0, 2 * math.pi)
        x = middle + 0.45 * width * narrow * radius * math.cos(angle)
        y = low / 2 + 2 + (low / 2 - 8) * radius * math.sin(angle)
        blobs.append((x, y))
    # From the dark inside and underside to the light top: later blobs cover earlier ones.
    blobs.sort(key=lambda p: -p[1] + rng.uniform(0, 70))
    for rank, (x, y) in enumerate(blobs):
        light = (0.5 + 0.75 * rank / len(blobs)) * rng.uniform(0.8, 1.2)
        colour = tuple(int(min(255, c * light)) for c in base)
        size = int(rng.uniform(2, 9)) if rank < 250 else int(rng.uniform(1, 4))
        cv2.circle(picture, (int(x), int(y)), size, (*colour, SOLID), cv2.FILLED)


@lru_cache(maxsize=512)
def person(variant: int, phase: int) -> Texture:
    """Somebody who walks along the pavement; ``phase`` 0..3 are the four moments of a step."""
    rng = np.random.default_rng([22, variant])
    picture = np.zeros((_TALL, int(_TALL * PERSON_ASPECT), 4), np.uint8)
    coat, legs = _pick(_CLOTHES, rng), _pick(_TROUSERS, rng)
    picture[..., :3] = coat
    middle, aside = _TALL * PERSON_ASPECT / 2, rng.random() < 0.5
    swing = (0.16 if aside else 0.05) * math.sin(phase * math.pi / 2 + 0.6)
    lift = 0 if aside else 0.03 * math.cos(phase * math.pi / 2)
    for side in (-1, 1):
        hip = (middle + side * (2 if aside else 6), 0.5 * _TALL)
        foot = (hip[0] + side * swing * _TALL, (0.965 - max(0, side * lift)) * _TALL)
        _limb(picture, hip, foot, 13, tuple(int(c * (1.15 if side > 0 else 0.85)) for c in legs))
        cv2.ellipse(picture, ((foot[0] + 1, foot[1]), (14, 9), 0), (22, 22, 26, SOLID), cv2.FILLED)
    skirt = rng.uniform(0.5, 0.68) * _TALL
    wide = rng.uniform(15, 21)
    body = [(middle - wide + 4, 0.19 * _TALL), (middle + wide - 4, 0.19 * _TALL),
            (middle + wide, skirt), (middle - wide, skirt)]  # fmt: skip
    for side in (-1, 1):
        hand = (middle + side * (wide + 3 - 60 * abs(swing) * (not aside)), 0.5 * _TALL)
        hand = (hand[0] - side * swing * 0.5 * _TALL * aside, hand[1])
        _limb(picture, (middle + side * (wide - 3), 0.22 * _TALL), hand, 9, _shade(coat, 0.8))
    _fill(picture, body, coat)
    _fill(picture, [body[1], body[2], (middle + 3, skirt), (middle + 5, 0.19 * _TALL)],
          _shade(coat, 0.85))  # fmt: skip
    if rng.random() < 0.4:
        _fill(picture, [(middle - 11, 0.24 * _TALL), (middle + 11, 0.24 * _TALL),
                        (middle + 12, 0.42 * _TALL), (middle - 12, 0.42 * _TALL)],
              _pick(_CLOTHES, rng))  # fmt: skip
    _head(picture, (middle, 0.1 * _TALL), rng)
    return Texture.from_picture(picture)


@lru_cache(maxsize=256)
def cyclist(variant: int, phase: int) -> Texture:
    """A bicycle with its rider, seen along the road, more or less from the side."""
    rng = np.random.default_rng([23, variant])
    picture = np.zeros((_TALL, int(_TALL * CYCLIST_ASPECT), 4), np.uint8)
    coat = (40, 215, 205) if variant % 6 == 0 else _pick(_CLOTHES, rng)
    legs, metal = _pick(_TROUSERS, rng), _pick(_CLOTHES, rng)
    picture[..., :3] = coat
    middle, turned = _TALL * CYCLIST_ASPECT / 2, rng.uniform(0.12, 0.6)
    radius, apart = 0.185 * _TALL, 0.27 * _TALL * turned
    hub = _TALL - radius - 2
    for side in (-1, 1):
        centre = (middle + side * apart, hub + (side < 0))
        axes = (max(4.0, 2 * radius * turned), 2 * radius)
        cv2.ellipse(picture, (centre, axes, 0), (24, 24, 26, SOLID), 4)
    saddle, bars = (middle - apart * 0.5, 0.5 * _TALL), (middle + apart * 0.8, 0.45 * _TALL)
    crank = (middle, hub)
    for a, b in ((saddle, crank), (bars, crank), (saddle, bars), (saddle, (middle - apart, hub)),
                 (bars, (middle + apart, hub))):  # fmt: skip
        _limb(picture, a, b, 4, metal)
    _limb(picture, (bars[0] - 13, bars[1]), (bars[0] + 13, bars[1]), 4, (30, 30, 30))
    for side in (-1, 1):
        turn = phase * math.pi / 2 + (side > 0) * math.pi
        pedal = (crank[0] + side * 6 + 14 * turned * math.cos(turn), hub + 13 * math.sin(turn))
        knee = ((saddle[0] + pedal[0]) / 2 + side * 5 + 14 * turned, (saddle[1] + pedal[1]) / 2 - 8)
        _limb(picture, (saddle[0] + side * 4, saddle[1]), knee, 12, legs)
        _limb(picture, knee, pedal, 9, _shade(legs, 0.9))
    lean = apart * 0.5
    wide = 15 - 4 * turned
    back = [(middle - wide + lean, 0.2 * _TALL), (middle + wide + lean, 0.2 * _TALL),
            (saddle[0] + 11, 0.52 * _TALL), (saddle[0] - 11, 0.52 * _TALL)]  # fmt: skip
    _fill(picture, back, coat)
    for side in (-1, 1):
        _limb(picture, (middle + lean + side * (wide - 3), 0.23 * _TALL),
              (bars[0] + side * 10, bars[1]), 8, _shade(coat, 0.8))  # fmt: skip
    _head(picture, (middle + lean * 1.5, 0.115 * _TALL), rng)
    if rng.random() < 0.5:
        helmet = (int(middle + lean * 1.5), int(0.1 * _TALL))
        cv2.ellipse(picture, helmet, (12, 11), 0, 180, 360, (*_pick(_CLOTHES, rng), SOLID), -1)
    return Texture.from_picture(picture)


def _pick(colours: tuple[Colour, ...], rng: Generator) -> Colour:
    return colours[int(rng.integers(len(colours)))]


def _shade(colour: Colour, light: float) -> Colour:
    blue, green, red = (int(min(255, c * light)) for c in colour)
    return blue, green, red


def _fill(picture: NDArray[np.uint8], corners: list[tuple[float, float]], colour: Colour) -> None:
    cv2.fillPoly(picture, [np.rint(np.array(corners)).astype(np.int32)], (*colour, SOLID))


def _limb(
    picture: NDArray[np.uint8],
    start: tuple[float, float],
    end: tuple[float, float],
    thick: int,
    colour: tuple[int, ...],
) -> None:
    a, b = ((round(x), round(y)) for x, y in (start, end))
    cv2.line(picture, a, b, (*colour, SOLID), thick)


def _head(picture: NDArray[np.uint8], centre: tuple[float, float], rng: Generator) -> None:
    skin, hair = _pick(_SKIN, rng), _pick(_HAIR, rng)
    x, y = centre
    _limb(picture, (x, y), (x, y + 16), 9, _shade(skin, 0.8))
    cv2.ellipse(picture, ((x, y), (21, 27), 0), (*skin, SOLID), cv2.FILLED)
    # Half of the people are seen from behind.
    drop = 24 if rng.random() < 0.5 else 13
    cv2.ellipse(picture, ((x, y - (27 - drop) / 3), (22, drop), 0), (*hair, SOLID), cv2.FILLED)
