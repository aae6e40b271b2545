"""Curves of a run: loss and validation mIoU over the steps, as SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from models.atomic import atomic_path
from pipeline.train.runlog import Row, writable

_WIDTH, _HEIGHT = 720, 460
_LEFT, _RIGHT = 60, 700
#: Most points of a curve; longer ones are averaged.
_POINTS = 240

#: Colours of runs in one chart, on a light and on a dark background; loss and mIoU have the first
#: two.
_COLOURS = ("#1f5fa8", "#b3541e", "#2e7d32", "#7b1fa2", "#c2185b", "#00838f", "#6d4c41", "#616161")
_ON_DARK = ("#6cb0ff", "#ff9d66", "#74d17b", "#d18cf0", "#ff7fae", "#4dd0e1", "#c9a798", "#b0b0b0")
_LOSS, _MIOU, _INK = "c0", "c1", "ink"

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class _Panel:
    """One coordinate system; ``top`` and ``bottom`` in pixels, ``low`` and ``high`` in values."""

    top: int
    bottom: int
    last_step: float
    low: float
    high: float

    def place(self, point: tuple[float, float]) -> tuple[float, float]:
        """Map (step, value) to pixels."""
        step, value = point
        x = _LEFT + (_RIGHT - _LEFT) * step / self.last_step
        y = self.bottom - (self.bottom - self.top) * (value - self.low) / (self.high - self.low)
        return x, y


def write_curves(path: Path, title: str, rows: Sequence[Row]) -> None:
    """Draw the rows of a run's log into ``path``, atomically."""
    with writable(path), atomic_path(path) as temporary:
        temporary.write_text(draw_curves(title, rows), encoding="utf-8")


def draw_curves(title: str, rows: Sequence[Row]) -> str:
    """Return an SVG of 720x460 with the loss above and the mIoU in percent below.

    Args:
        title: a line above the curves.
        rows: of a :class:`RunLog`; of rows with the same step the last one counts.
    """
    losses = sorted({row["step"]: row["loss"] for row in rows if "loss" in row}.items())
    mious = sorted({row["step"]: 100 * row["miou"] for row in rows if "miou" in row}.items())
    last_step = max([1, *(step for step, _ in (*losses, *mious))])
    parts = [
        *_page(title),
        *_chart("loss", 50, 220, last_step, _averaged(losses), _LOSS),
        *_chart("val mIoU, %", 265, 420, last_step, mious, _MIOU),
        *_steps(last_step),
    ]
    if mious:
        parts.append(_best(_panel(265, 420, last_step, mious), mious))
    return "\n".join([*parts, "</svg>"]) + "\n"


def draw_comparison(title: str, runs: Mapping[str, Points]) -> str:
    """Return an SVG of 720x460 with the val mIoU of several runs.

    Args:
        title: a line above the curves.
        runs: (step, mIoU in percent) of each by name; those without points are left out.
    """
    drawn = {name: sorted(points) for name, points in runs.items() if points}
    points = [point for run in drawn.values() for point in run]
    last_step = max([1, *(step for step, _ in points)])
    parts = [*_page(title), _text(_LEFT, 42, "val mIoU, %")]
    if not drawn:
        return "\n".join([*parts, "</svg>"]) + "\n"
    panel = _panel(50, 420, last_step, points)
    parts += _grid(panel)
    for number, (name, run) in enumerate(drawn.items()):
        colour = f"c{number % len(_COLOURS)}"
        parts += _curve(panel, run, colour)
        place = panel.bottom - 12 - 16 * (len(drawn) - 1 - number)
        parts.append(_text(_RIGHT - 8, place, name, "end", colour=colour))
    return "\n".join([*parts, *_steps(last_step), "</svg>"]) + "\n"


def _page(title: str) -> list[str]:
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" class="paper"/>',
        _text(_LEFT, 24, title, size=15),
        _style(),
    ]


def _style() -> str:
    """Write the colours for the light and the dark theme of the reader's system."""

    def rules(paper: str, ink: str, grid: str, colours: Sequence[str]) -> str:
        runs = "".join(
            f".c{n}{{fill:{one}}}.line.c{n}{{fill:none;stroke:{one}}}"
            for n, one in enumerate(colours)
        )
        return f".paper{{fill:{paper}}}.ink{{fill:{ink}}}.grid{{stroke:{grid}}}{runs}"

    light = rules("#ffffff", "#333333", "#dddddd", _COLOURS)
    dark = rules("#14181d", "#d5dae0", "#39414b", _ON_DARK)
    return f"<style>{light}@media(prefers-color-scheme:dark){{{dark}}}</style>"


def _steps(last_step: float) -> list[str]:
    """Label the axis that all panels share."""
    parts = []
    for step in _ticks(0, last_step):
        x, _ = _Panel(265, 420, last_step, 0, 1).place((step, 0))
        parts.append(_text(x, 437, f"{step:g}", anchor="middle"))
    return [*parts, _text((_LEFT + _RIGHT) / 2, 454, "step", anchor="middle")]


def _chart(
    name: str, top: int, bottom: int, last_step: float, points: Points, colour: str
) -> list[str]:
    parts = [_text(_LEFT, top - 8, name, colour=colour)]
    if not points:
        return [*parts, _text((_LEFT + _RIGHT) / 2, (top + bottom) / 2, "none yet", "middle")]
    panel = _panel(top, bottom, last_step, points)
    return [*parts, *_grid(panel), *_curve(panel, points, colour)]


def _grid(panel: _Panel) -> list[str]:
    parts = []
    for value in _ticks(panel.low, panel.high):
        _, y = panel.place((0, value))
        parts.append(f'<line x1="{_LEFT}" x2="{_RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
        parts.append(_text(_LEFT - 8, y + 4, f"{value:g}", anchor="end"))
    return parts


def _curve(panel: _Panel, points: Points, colour: str) -> list[str]:
    places = [panel.place(point) for point in points]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    parts = [f'<polyline points="{line}" fill="none" stroke-width="1.8" class="line {colour}"/>']
    if len(places) <= _POINTS // 4:
        parts += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" class="{colour}"/>' for x, y in places
        ]
    return parts


def _panel(top: int, bottom: int, last_step: float, points: Points) -> _Panel:
    values = [value for _, value in points]
    # At least 0.1 high, for a single point or a flat curve.
    room = max(0.1 - (max(values) - min(values)), 0) / 2
    low, high = min(values) - room, max(values) + room
    first, second, *_ = _ticks(low, high)
    step = second - first
    return _Panel(
        top, bottom, last_step, math.floor(low / step) * step, math.ceil(high / step) * step
    )


def _best(panel: _Panel, points: Points) -> str:
    step, value = max(points, key=lambda point: point[1])
    x, y = panel.place((step, value))
    words = f"best {value:.1f} at step {step:g}"
    anchor, x = ("end", min(x, _RIGHT)) if x > (_LEFT + _RIGHT) / 2 else ("start", x)
    return _text(x, max(y - 8, panel.top + 4), words, anchor)


def _averaged(points: Points) -> Points:
    """Average neighbours so that at most ``_POINTS`` are left."""
    size = math.ceil(len(points) / _POINTS)
    if size <= 1:
        return points
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    return [
        (sum(s for s, _ in group) / len(group), sum(v for _, v in group) / len(group))
        for group in groups
    ]


def _ticks(low: float, high: float) -> list[float]:
    """Return three to six round numbers from ``low`` to ``high``, two at least."""
    span = max(high - low, 1e-9)
    power = 10.0 ** math.floor(math.log10(span))
    step = next(
        factor * power for factor in (0.1, 0.2, 0.5, 1, 2, 5) if span / (factor * power) <= 5.5
    )
    first = math.ceil(low / step - 1e-9)
    count = max(2, math.floor(high / step + 1e-9) - first + 1)
    return [round((first + i) * step, 10) for i in range(count)]


def _text(
    x: float, y: float, words: str, anchor: str = "start", size: int = 12, colour: str = _INK
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
        f'class="{colour}">{escape(words)}</text>'
    )
