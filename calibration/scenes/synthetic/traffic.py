"""What moves, and where it is at a time: a pure function of the drive's seed and the time.

A stream is an endless row of cars or people that moves along the road at one speed. Its members are
numbered, and the number decides a member's looks, so those in view at any time are known without
simulating the drive from its start.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from random import Random

import numpy as np

from calibration.scenes.synthetic.camera import FAR, View
from calibration.scenes.synthetic.items import Item, Person, Vehicle
from calibration.scenes.synthetic.street import LANE, PAINTS, edges_at, vehicle_kind


@dataclass(frozen=True)
class _Stream:
    """Members every ``spacing`` metres, moving at ``speed`` (m/s, positive is with the camera).

    ``shares`` is the range of the share of places that are taken: one value per drive.
    """

    name: str
    side: int
    spacing: float
    speed: float
    shares: tuple[float, float]


#: Metres up to which people are drawn; beyond, they are a few pixels.
_PEOPLE_FAR = 90.0

_STREAMS = (
    _Stream("cars", 1, 17.0, -9.0, (0.2, 0.7)),
    _Stream("cyclists", 0, 26.0, 4.6, (0.35, 0.75)),
    _Stream("cyclists", 1, 34.0, -4.9, (0.3, 0.6)),
    _Stream("walkers", 0, 9.0, 1.3, (0.2, 0.8)),
    _Stream("walkers", 0, 11.0, -1.2, (0.2, 0.8)),
    _Stream("walkers", 1, 10.0, 1.2, (0.2, 0.8)),
    _Stream("walkers", 1, 12.0, -1.35, (0.2, 0.8)),
    _Stream("walkers", 0, 24.0, 0.0, (0.2, 0.7)),
    _Stream("walkers", 1, 24.0, 0.0, (0.2, 0.7)),
)


@dataclass(frozen=True)
class _Member:
    """The random numbers of one member of a stream, each 0..1."""

    jitter: float
    across: float
    height: float
    variant: int
    looks: int


@lru_cache(maxsize=4096)
def _member(seed: int, stream: int, number: int) -> _Member | None:
    """Member ``number`` of a stream, or None where its place is empty."""
    # Python's generator, since many are needed for a few numbers and NumPy's is slow to create.
    rng = Random(f"{seed} {stream} {number}")
    if rng.random() > _share(seed, stream):
        return None
    jitter, across, height = rng.random(), rng.random(), rng.random()
    return _Member(jitter, across, height, rng.getrandbits(16), rng.getrandbits(16))


@lru_cache(maxsize=1024)
def _share(seed: int, stream: int) -> float:
    """The share of a stream's places that are taken on one drive."""
    low, high = _STREAMS[stream].shares
    return low + (high - low) * Random(f"{seed} {stream}").random()


def moving(seed: int, seconds: float, view: View) -> Iterator[Item]:
    """Everything that moves and is in view of the camera."""
    near = view.s + 1.0
    grid = np.arange(math.floor(near) - 1, math.ceil(view.s + FAR) + 2, dtype=np.float64)
    edges = edges_at(seed, grid)
    yield from _leader(seed, seconds, view)
    for index, stream in enumerate(_STREAMS):
        drift = stream.speed * seconds
        far = view.s + (FAR if stream.name == "cars" else _PEOPLE_FAR)
        first = math.floor((near - drift) / stream.spacing) - 1
        for number in range(first, math.ceil((far - drift) / stream.spacing) + 1):
            member = _member(seed, index, number)
            if member is None:
                continue
            s = (number + 0.7 * member.jitter) * stream.spacing + drift
            if near < s < far:
                k = int(s - grid[0])
                lines = (float(line[stream.side][k]) for line in (edges.kerb, edges.back))
                yield _place(stream, member, s, *lines)


def _place(stream: _Stream, member: _Member, s: float, kerb: float, back: float) -> Item:
    sign = 1 if stream.side else -1
    if stream.name == "cars":
        kind = vehicle_kind(member.looks / (1 << 16), 0.06)
        paint = PAINTS[member.variant % len(PAINTS)]
        return Vehicle(s, sign * (1.75 + 0.3 * member.across), kind, paint, forward=False)
    if stream.name == "cyclists":
        u, height = LANE - 0.45 - 0.35 * member.across, 1.72 + 0.15 * member.height
        # A pedal turns about once a second; four drawings make a turn.
        phase = int(s / abs(stream.speed) * 5 + member.looks) % 4
        return Person(s, sign * u, height, member.variant, phase, cycling=True)
    u = kerb + 0.6 + member.across * max(back - kerb - 1.0, 0.2)
    phase = int(s / 0.4 + member.looks) % 4 if stream.speed else 0
    return Person(s, sign * u, 1.55 + 0.3 * member.height, member.variant, phase)


def _leader(seed: int, seconds: float, view: View) -> Iterator[Item]:
    """The car ahead in the camera's lane; it comes near, drives away, and is another one then."""
    rng = Random(f"{seed} leader")
    turn = seconds * rng.uniform(0.05, 0.09) + rng.random()
    swing = 0.5 - 0.5 * math.cos(2 * math.pi * turn)
    looks = Random(f"{seed} leader {int(turn)}")
    if looks.random() < 0.75:
        nearest = looks.uniform(9, 24)
        gap = nearest + (FAR - nearest) * (1 - swing) ** 1.5
        kind, paint = vehicle_kind(looks.random(), 0.12), looks.choice(PAINTS)
        yield Vehicle(view.s + gap, looks.uniform(-1.9, -1.5), kind, paint, forward=True)
