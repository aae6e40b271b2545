"""What stands where along the road: a pure function of the drive's seed and the place.

The road is a row of blocks; four blocks form a section, which has a style (shops, offices,
terraces, suburb, green) and a cross section. Every block has its own random generator, so any place
can be drawn without the places before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from calibration.scenes.synthetic.items import (
    Barrier,
    BarrierKind,
    Building,
    BuildingKind,
    Colour,
    Item,
    Post,
    Tree,
    Vehicle,
    VehicleKind,
)

BLOCK = 40.0
SECTION = 4 * BLOCK
#: Width of a side road, and of half the carriageway without parking bays.
MOUTH, LANE = 8.0, 3.7
BAY = 2.2

Range = tuple[float, float]


@dataclass(frozen=True)
class Style:
    """How one kind of street is built. Shares are 0..1, widths in metres, floors of 3 m."""

    building: BuildingKind
    floors: tuple[int, int]
    bays: tuple[int, int]
    built: float
    pavement: Range
    garden: Range
    grass: bool
    barriers: tuple[BarrierKind, ...]
    trees: float
    parking: float


STYLES = (
    Style("shop", (2, 5), (2, 5), 0.95, (2.4, 4.2), (0, 0.3), False, ("railing",), 0.12, 0.5),
    Style("office", (3, 8), (4, 6), 0.85, (3, 5), (0, 2), False, ("railing", "mesh"), 0.3, 0.3),
    Style("terrace", (2, 3), (2, 4), 0.92, (1.8, 2.6), (0.8, 3), False,
          ("wall", "boards", "railing", "hedge"), 0.3, 0.85),
    Style("house", (2, 3), (3, 4), 0.65, (1.8, 2.6), (4.5, 9), True,
          ("boards", "hedge", "wall", "boards"), 0.75, 0.45),
    Style("house", (2, 2), (3, 4), 0.22, (1.8, 3), (5, 10), True,
          ("mesh", "railing", "boards", "hedge"), 1.0, 0.2),
)  # fmt: skip

PAINTS: tuple[Colour, ...] = (
    (45, 42, 40), (70, 66, 62), (150, 150, 148), (185, 184, 180), (225, 225, 222), (238, 238, 236),
    (110, 60, 35), (75, 40, 25), (45, 40, 140), (40, 30, 95), (70, 95, 55), (140, 120, 90),
    (120, 125, 128), (60, 140, 175), (120, 150, 155), (28, 27, 26),
)  # fmt: skip


@dataclass(frozen=True)
class Section:
    """One stretch of street. Widths are (left, right), in metres."""

    style: Style
    bays: Range
    pavements: Range
    gardens: Range
    yellow_lines: bool
    cycle_lane: bool


@lru_cache(maxsize=256)
def section_of(seed: int, number: int) -> Section:
    """The section that starts at ``number * SECTION`` metres."""
    rng = np.random.default_rng([seed, 3, number])
    style = STYLES[int(rng.choice(len(STYLES), p=(0.27, 0.18, 0.22, 0.2, 0.13)))]
    bays = [BAY if rng.random() < style.parking else 0.0 for _ in range(2)]
    pavements, gardens = rng.uniform(*style.pavement, 2), rng.uniform(*style.garden, 2)
    return Section(
        style=style,
        bays=(bays[0], bays[1]),
        pavements=(float(pavements[0]), float(pavements[1])),
        gardens=(float(gardens[0]), float(gardens[1])),
        yellow_lines=bool(rng.random() < 0.5),
        cycle_lane=bool(rng.random() < 0.3),
    )


@dataclass(frozen=True)
class Edges:
    """Distances from the road's middle, in metres: kerbs, back of the pavements, house fronts."""

    kerb: tuple[NDArray[np.float64], NDArray[np.float64]]
    back: tuple[NDArray[np.float64], NDArray[np.float64]]
    front: tuple[NDArray[np.float64], NDArray[np.float64]]


def edges_at(seed: int, s: NDArray[np.float64]) -> Edges:
    """The cross section at places ``s``; neighbouring sections blend over 24 m."""
    first, last = int(np.min(s) // SECTION), int(np.max(s) // SECTION)
    sections = [section_of(seed, k) for k in range(first - 1, last + 2)]
    starts = np.arange(first - 1, last + 2) * SECTION
    knots = np.stack([starts + 12, starts + SECTION - 12], axis=1).ravel()
    lines = []
    for side in (0, 1):
        widths = np.array([(p.bays[side], p.pavements[side], p.gardens[side]) for p in sections])
        bay, pavement, garden = (np.interp(s, knots, w) for w in np.repeat(widths, 2, axis=0).T)
        lines.append((LANE + bay, LANE + bay + pavement, LANE + bay + pavement + garden))
    (a, b, c), (d, e, f) = lines
    return Edges(kerb=(a, d), back=(b, e), front=(c, f))


@lru_cache(maxsize=1024)
def mouths_of(seed: int, block: int) -> tuple[bool, bool]:
    """Whether a side road opens on the left and on the right at the start of a block."""
    rng = np.random.default_rng([seed, 4, block])
    if rng.random() > 0.3:
        return False, False
    left, right = rng.random(2)
    return bool(left < 0.7), bool(right < 0.7)


@lru_cache(maxsize=512)
def block_of(seed: int, block: int) -> tuple[Item, ...]:
    """Everything that stands in one block."""
    rng = np.random.default_rng([seed, 5, block])
    section = section_of(seed, int(block * BLOCK // SECTION))
    items: list[Item] = []
    origin = block * BLOCK - 10
    lines = edges_at(seed, origin + np.arange(BLOCK + 30))
    for side, mouth in enumerate(mouths_of(seed, block)):
        start = block * BLOCK + (MOUTH if mouth else 0)
        plot = _Plot(seed, section, side, start, (block + 1) * BLOCK, mouth, origin, lines)
        for layer in (_buildings, _barriers, _trees, _posts, _parked):
            items.extend(layer(plot, rng))
    return tuple(items)


@dataclass(frozen=True)
class _Plot:
    """One side of one block: from ``start`` to ``end``, the side road left out.

    ``lines`` are the edges of the street, metre by metre from ``origin``.
    """

    seed: int
    section: Section
    side: int
    start: float
    end: float
    mouth: bool
    origin: float
    lines: Edges

    def out(self, distance: float) -> float:
        """A distance from the middle of the road as a signed place across it."""
        return distance if self.side else -distance

    def edge(self, line: Literal["kerb", "back", "front"], *places: float) -> float:
        """The widest distance of a line from the middle, among the places."""
        distances = getattr(self.lines, line)[self.side]
        return float(max(distances[round(s - self.origin)] for s in places))


def _buildings(plot: _Plot, rng: Generator) -> Iterator[Item]:
    style, at, neighbour = plot.section.style, plot.start, 0.0
    floors = int(rng.integers(style.floors[0], style.floors[1] + 1))
    while plot.end - at >= 6:
        if rng.random() > style.built:
            at, neighbour = at + rng.uniform(4, 9), 0.0
            continue
        bays = min(int(rng.integers(style.bays[0], style.bays[1] + 1)), int((plot.end - at) // 3))
        if style.building != "terrace" or rng.random() < 0.3:
            floors = int(rng.integers(style.floors[0], style.floors[1] + 1))
        end, height = at + 3.0 * bays, 3.0 * floors
        yield Building(
            start=at,
            end=end,
            u=plot.out(plot.edge("front", at, end) + rng.uniform(0, 0.2)),
            height=height,
            kind=style.building,
            variant=int(rng.integers(1 << 16)),
            pitched=style.building in ("terrace", "house") or bool(rng.random() < 0.3),
            exposed=height > neighbour,
        )
        neighbour = height
        at = end
        if style.building == "house":
            at, neighbour = at + rng.uniform(2, 7), 0.0


def _barriers(plot: _Plot, rng: Generator) -> Iterator[Item]:
    style = plot.section.style
    kind = style.barriers[int(rng.integers(len(style.barriers)))]
    height = {"railing": 1.1, "boards": 1.7, "mesh": 2.0, "hedge": 1.5, "wall": 1.0}[kind]
    height *= rng.uniform(0.8, 1.15)
    if style.building in ("shop", "office"):
        # Guard rails stand at the kerb, before crossings and side roads.
        if rng.random() < 0.55:
            start = plot.start + 1
            u = plot.out(plot.edge("kerb", start, start + 12) + 0.35)
            yield Barrier(start, start + rng.uniform(6, 12), u, 1.1, "railing", _variant(rng))
        return
    at = plot.start
    while at < plot.end - 3:
        end = min(at + rng.uniform(5, 14), plot.end)
        u = plot.out(plot.edge("back", at, end) + 0.15)
        if rng.random() < 0.8:
            yield Barrier(at, end, u, height, kind, _variant(rng))
        at = end + rng.choice((0.0, 2.8))


def _trees(plot: _Plot, rng: Generator) -> Iterator[Item]:
    style = plot.section.style
    # One season for the whole drive.
    bare = Random(f"{plot.seed} season").random() < 0.55
    for at in np.arange(plot.start + 2, plot.end - 1, 5.0):
        back = plot.edge("back", at)
        roomy = style.grass
        if rng.random() < style.trees * 0.8:
            # Street trees stand at the kerb, garden trees behind the pavement.
            near = plot.edge("kerb", at) + 0.7
            u = back + rng.uniform(1, 7 if style.built < 0.5 else 4) if roomy else near
            height = rng.uniform(4.5, 11) if roomy else rng.uniform(4.5, 8)
            yield Tree(float(at + rng.uniform(-2, 2)), plot.out(u), height, _variant(rng),
                       bare and bool(rng.random() < 0.75))  # fmt: skip
        if style.built < 0.5:
            u, height = back + rng.uniform(9, 22), rng.uniform(6, 14)
            yield Tree(float(at), plot.out(u), height, _variant(rng), bool(rng.random() < 0.4))


def _posts(plot: _Plot, rng: Generator) -> Iterator[Item]:
    kerb = plot.edge("kerb", plot.start, plot.end)
    lamp = plot.start + (6 if plot.side else 22)
    yield Post(lamp, plot.out(kerb + 0.5), "lamp", 0 if plot.section.style.grass else 1)
    if plot.mouth:
        yield Post(plot.start - MOUTH - 0.8, plot.out(kerb + 0.5), "lights", _variant(rng))
    signs = int(rng.choice((0, 1, 2), p=(0.2, 0.5, 0.3)))
    for at in rng.uniform(plot.start + 1, plot.end - 1, signs):
        yield Post(float(at), plot.out(kerb + 0.45), "sign", _variant(rng))
    if rng.random() < 0.4:
        at = float(rng.uniform(plot.start + 2, plot.end - 9))
        for k in range(int(rng.integers(1, 5))):
            yield Post(at + 1.8 * k, plot.out(kerb + 0.4), "bollard", _variant(rng))
    if rng.random() < 0.3:
        at = float(rng.uniform(plot.start, plot.end))
        yield Post(at, plot.out(plot.edge("back", at) - 0.5), "bin", _variant(rng))


def _parked(plot: _Plot, rng: Generator) -> Iterator[Item]:
    if not plot.section.bays[plot.side]:
        return
    filled = rng.uniform(0.3, 0.95)
    for at in np.arange(plot.start + 5, plot.end - 3, 5.8):
        kerb = plot.edge("kerb", at - 3, at + 3)
        room = min(plot.edge("kerb", at - 3), plot.edge("kerb", at + 3)) - LANE
        if rng.random() < filled and room > BAY - 0.3:
            yield Vehicle(
                s=float(at + rng.uniform(-0.4, 0.4)),
                u=plot.out(kerb - 1.05 + rng.uniform(-0.1, 0.1)),
                kind=vehicle_kind(rng.random(), 0),
                paint=PAINTS[int(rng.integers(len(PAINTS)))],
                forward=bool(rng.random() < (0.35 if plot.side else 0.8)),
            )


def vehicle_kind(pick: float, buses: float) -> VehicleKind:
    """The kind of vehicle for a number 0..1, by share on the road; ``buses`` is that of buses."""
    if pick < buses:
        return "bus"
    pick = (pick - buses) / (1 - buses)
    shares: tuple[tuple[float, VehicleKind], ...]
    shares = (0.4, "hatchback"), (0.6, "saloon"), (0.82, "estate")
    return next((kind for bound, kind in shares if pick < bound), "van")


def _variant(rng: Generator) -> int:
    return int(rng.integers(1 << 16))
