"""Frames per second against mIoU, as SVG."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

from models.speeds import OURS, Speed, Speeds

#: Path of the chart.
PICTURE = Path(__file__).parents[3] / "docs" / "frontier.svg"

_WIDTH, _HEIGHT = 860, 520
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 840, 60, 470
_MARGIN = 1.15  # of the FPS axis, which is logarithmic

_STYLE = """<style>
.paper{fill:#fff}.ink{fill:#333}.grid{stroke:#ddd}.int8{fill:#1f5fa8}.fp32{fill:#b3541e}
.other{fill:none;stroke:#777;stroke-width:1.5}.size{fill:none;stroke:#999;stroke-dasharray:3 3}
@media(prefers-color-scheme:dark){.paper{fill:#14181d}.ink{fill:#d5dae0}.grid{stroke:#39414b}
.int8{fill:#6cb0ff}.fp32{fill:#ff9d66}.other{stroke:#aaa}.size{stroke:#777}}
</style>"""


class _Axes:
    """Frames per second to the right, logarithmic; mIoU in percent upwards."""

    def __init__(self, rows: tuple[Speed, ...]) -> None:
        rates = [row.fps for row in rows]
        self.slowest, self.fastest = min(rates) / _MARGIN, max(rates) * _MARGIN
        self.low = math.floor(min(100 * row.miou for row in rows) / 5) * 5
        self.high = math.ceil(max(100 * row.miou for row in rows) / 5) * 5

    def x(self, fps: float) -> float:
        share = math.log(fps / self.slowest) / math.log(self.fastest / self.slowest)
        return _LEFT + (_RIGHT - _LEFT) * share

    def y(self, percent: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * (percent - self.low) / max(self.high - self.low, 1)

    def place(self, row: Speed) -> tuple[float, float]:
        return self.x(row.fps), self.y(100 * row.miou)


def chart(speeds: Speeds) -> str:
    """Draw every row: filled marks are ours, rings are other tools; lines join input sizes."""
    axes = _Axes(speeds.rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'width="{_WIDTH}" height="{_HEIGHT}" font-family="sans-serif" font-size="12">',
        f'{_STYLE}<rect width="{_WIDTH}" height="{_HEIGHT}" class="paper"/>',
        _text(_LEFT, 24, f"Speed and accuracy on {speeds.machine}", size=15),
        _text(_LEFT, 46, "val mIoU, %"),
        _text((_LEFT + _RIGHT) / 2, _BOTTOM + 38, "frames per second", "middle"),
        *_grid(axes),
        *_lines(axes, speeds.rows),
        *_marks(axes, speeds.rows),
        *_labels(axes, speeds.rows),
        *_legend(),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _grid(axes: _Axes) -> Iterator[str]:
    for percent in range(axes.low, axes.high + 1, 5):
        y = axes.y(percent)
        yield f'<line x1="{_LEFT}" x2="{_RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>'
        yield _text(_LEFT - 8, y + 4, f"{percent}", "end")
    for power in range(-1, 4):
        for first in (1, 2, 5):
            fps = first * 10.0**power
            if axes.slowest <= fps <= axes.fastest:
                x = axes.x(fps)
                yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_BOTTOM}" class="grid"/>'
                yield _text(x, _BOTTOM + 18, f"{fps:g}", "middle")


def _lines(axes: _Axes, rows: tuple[Speed, ...]) -> Iterator[str]:
    """Join the input sizes of one network in one precision."""
    ours = sorted(
        (row for row in rows if row.tool == OURS),
        key=lambda row: (row.network, row.precision, row.width),
    )
    for _, group in groupby(ours, key=lambda row: (row.network, row.precision)):
        places = [axes.place(row) for row in group]
        if len(places) > 1:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
            yield f'<polyline points="{path}" class="size"/>'


def _marks(axes: _Axes, rows: tuple[Speed, ...]) -> Iterator[str]:
    for row in rows:
        x, y = axes.place(row)
        title = (
            f"{row.network}, {row.tool}, {row.precision.upper()}, {row.width}x{row.height}: "
            f"{100 * row.miou:.1f} mIoU, {row.fps:.1f} FPS"
        )
        kind = row.precision if row.tool == OURS else "other"
        radius = 5 if row.tool == OURS else 4
        yield (
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" class="{kind}">'
            f"<title>{escape(title)}</title></circle>"
        )


def _labels(axes: _Axes, rows: tuple[Speed, ...]) -> Iterator[str]:
    """Write names beside their marks, without covering marks or other names."""
    taken = [_Box.around(*axes.place(row), 12, 10) for row in rows]
    for row in rows:
        if row.tool != OURS:
            text, size = row.tool.partition(",")[0], 9
        elif row.precision == "int8" and row.width == 480:
            text, size = row.network, 12
        else:
            continue
        x, y = axes.place(row)
        width, height = 0.56 * size * len(text), size
        places = [
            (x + across * (width / 2 + 8), y + down * size)
            for down in (-1.2, 1.2, -2.2, 2.2, -3.2, 3.2)
            for across in (0, 1, -1)
        ]
        boxes = [_Box.around(*place, width, height) for place in places]
        box = next((one for one in boxes if not any(map(one.meets, taken))), boxes[0])
        taken.append(box)
        yield _text((box.left + box.right) / 2, box.bottom - 2, text, "middle", size)


class _Box(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float

    @classmethod
    def around(cls, x: float, y: float, width: float, height: float) -> _Box:
        return cls(x - width / 2, y - height / 2, x + width / 2, y + height / 2)

    def meets(self, other: _Box) -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )


def _legend() -> Iterator[str]:
    words = (("int8", "INT8"), ("fp32", "FP32"), ("other", "other tools, FP32, the same weights"))
    for number, (kind, text) in enumerate(words):
        x = 480 + (0, 70, 140)[number]
        yield f'<circle cx="{x}" cy="42" r="5" class="{kind}"/>'
        yield _text(x + 10, 46, text)


def _text(x: float, y: float, text: str, anchor: str = "start", size: int = 12) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" class="ink">'
        f"{escape(text)}</text>"
    )
