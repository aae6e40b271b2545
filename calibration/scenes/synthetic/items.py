"""The objects that stand or move along the road, as plain data.

Places are in metres: ``s`` along the road, ``u`` across it from its middle line (right is
positive), ``y`` up. Colours are BGR, 0..255. ``variant`` selects one of several drawings.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

Colour = tuple[int, int, int]
BuildingKind = Literal["shop", "office", "terrace", "house"]
BarrierKind = Literal["railing", "boards", "mesh", "hedge", "wall"]
VehicleKind = Literal["hatchback", "saloon", "estate", "van", "bus"]


class Label(IntEnum):
    """Class values of ``models.classes.CAMVID``, by name."""

    SKY = 0
    BUILDING = 1
    POLE = 2
    ROAD = 3
    PAVEMENT = 4
    TREE = 5
    SIGN = 6
    FENCE = 7
    CAR = 8
    PEDESTRIAN = 9
    BICYCLIST = 10
    VOID = 11


@dataclass(frozen=True)
class Building:
    """A house front along the road from ``start`` to ``end`` at ``u``, and its near end wall.

    ``exposed`` says that the near end wall is not hidden behind a neighbour.
    """

    start: float
    end: float
    u: float
    height: float
    kind: BuildingKind
    variant: int
    pitched: bool
    exposed: bool


@dataclass(frozen=True)
class Barrier:
    """An upright strip along the road; railings and boards are fences, hedges count as trees."""

    start: float
    end: float
    u: float
    height: float
    kind: BarrierKind
    variant: int


@dataclass(frozen=True)
class Tree:
    s: float
    u: float
    height: float
    variant: int
    bare: bool


@dataclass(frozen=True)
class Post:
    """A pole and what it carries; ``bin`` is street furniture without a class (void)."""

    s: float
    u: float
    kind: Literal["lamp", "sign", "lights", "bollard", "bin"]
    variant: int


@dataclass(frozen=True)
class Vehicle:
    """``s`` is the middle; ``forward`` tells whether it faces the way the camera drives."""

    s: float
    u: float
    kind: VehicleKind
    paint: Colour
    forward: bool


@dataclass(frozen=True)
class Person:
    """A walker or, with ``cycling``, somebody on a bicycle. ``phase`` is the step, 0..3."""

    s: float
    u: float
    height: float
    variant: int
    phase: int
    cycling: bool = False


Item = Building | Barrier | Tree | Post | Vehicle | Person
