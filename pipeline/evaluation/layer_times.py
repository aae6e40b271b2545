"""Times of an engine's layers, as a table and as a flame chart."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import accumulate

from pipeline.runtimes.probe import LayerTime


def table(layers: Sequence[LayerTime], most: int = 25) -> list[str]:
    """Return lines of text: kinds of layers by time, then the ``most`` slowest layers."""
    total = sum(layer.ms for layer in layers) or 1.0
    kinds: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for layer in layers:
        kinds[layer.kind, layer.precision].append(layer.ms)
    by_kind = sorted(kinds.items(), key=lambda item: -sum(item[1]))
    lines = [f"{'kind':<42}{'layers':>7}{'ms':>9}{'share':>8}"]
    lines += [
        f"{f'{kind} {precision}':<42.42}{len(times):>7}{sum(times):>9.2f}{sum(times) / total:>8.1%}"
        for (kind, precision), times in by_kind
        if sum(times) / total >= 0.001
    ]
    slowest = sorted(layers, key=lambda layer: -layer.ms)[:most]
    lines += ["", f"{'slowest layers':<58}{'ms':>9}{'share':>8}"]
    lines += [
        f"{f'{layer.name} ({layer.kind} {layer.precision})':<58.58}"
        f"{layer.ms:>9.3f}{layer.ms / total:>8.1%}"
        for layer in slowest
    ]
    return [*lines, f"{len(layers)} layers, {total:.2f} ms"]


@dataclass
class _Node:
    """A module and its parts: ``children`` by name, in the order in which they first ran."""

    ms: float = 0.0
    notes: str = ""
    children: dict[str, _Node] = field(default_factory=dict)


_ROW, _WIDTH, _MARGIN = 22, 1200, 8
_AXIS, _TITLE = 40, 30
#: Space to the right of the last box, for its slanted name.
_RIGHT = 70
#: Height for the layers' names, and the angle at which they are written.
_NAMES, _LEAN = 150, 60
_LONGEST_NAME = 26
#: Smallest width of boxes with text, and of layers with a name.
_TEXT_WIDTH, _NAME_WIDTH = 34, 13
_COLOURS = ("#e4572e", "#f3a712", "#a8c686", "#669bbc", "#8d6a9f", "#d98880", "#76b5a5")
_STYLE = (
    "<style>svg{color-scheme:light dark}.paper{fill:#fff}.ink{fill:#222}.rule{stroke:#8888}"
    "@media(prefers-color-scheme:dark){.paper{fill:#14181d}.ink{fill:#e7eaee}}</style>"
)


@dataclass(frozen=True)
class _Box:
    """A module in the chart: ``path`` is its name, ``level`` 0 the lowest row; in pixels."""

    node: _Node
    path: tuple[str, ...]
    left: float
    width: float

    @property
    def level(self) -> int:
        return len(self.path)


def flame_chart(layers: Sequence[LayerTime], title: str) -> str:
    """Draw times as an SVG picture: one box per module, with its parts above it.

    Layers belong to the module in their name (``encoder.0.1.conv`` to ``encoder``), those without a
    dot to their kind of operation. The axis is time in milliseconds; a tooltip has a box's time.
    """
    root = _tree(layers)
    bottom = _TITLE + _NAMES + _depth(root) * _ROW
    width, height = _WIDTH + _RIGHT, bottom + _AXIS
    total = root.ms or 1.0
    placed = list(_placed(root, (), _MARGIN, (_WIDTH - 2 * _MARGIN) / total))
    parts = [
        *_axis(total, bottom),
        *(_drawn(box, title, bottom, total) for box in placed),
        *(_named(box, bottom) for box in placed if _is_layer(box)),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">\n{_STYLE}\n'
        f'<rect width="100%" height="100%" class="paper"/>\n'
        f'<text x="{_MARGIN}" y="20" class="ink" font-size="14">{escape(title)}: '
        f"{root.ms:.2f} ms in {len(layers)} layers</text>\n" + "\n".join(parts) + "\n</svg>\n"
    )


def _tree(layers: Sequence[LayerTime]) -> _Node:
    root = _Node()
    for layer in layers:
        node = root
        parts = layer.name.split(".") if "." in layer.name else [layer.kind, layer.name]
        root.ms += layer.ms
        for part in parts:
            node = node.children.setdefault(part, _Node())
            node.ms += layer.ms
        node.notes = f"{layer.kind} {layer.precision}"
    return root


def _depth(node: _Node) -> int:
    return 1 + max((_depth(child) for child in node.children.values()), default=0)


def _axis(total: float, bottom: int) -> Iterator[str]:
    """Draw the axis of time, with five to ten round numbers."""
    scale = (_WIDTH - 2 * _MARGIN) / total
    power = 10.0 ** math.floor(math.log10(total))
    step = next(part * power for part in (0.1, 0.2, 0.5, 1.0) if total / (part * power) <= 10)
    for number in range(math.floor(total / step + 1e-9) + 1):
        x = _MARGIN + number * step * scale
        anchor = "start" if not number else "middle"
        yield (
            f'<line class="rule" x1="{x:.1f}" x2="{x:.1f}" y1="{_TITLE}" y2="{bottom + 8}"/>'
            f'<text class="ink" x="{x:.1f}" y="{bottom + 22}" text-anchor="{anchor}">'
            f"{number * step:.4g}{' ms' if not number else ''}</text>"
        )


def _placed(node: _Node, path: tuple[str, ...], left: float, scale: float) -> Iterator[_Box]:
    """Place a module and its parts, but none below a pixel; ``scale`` is pixels per millisecond."""
    width = node.ms * scale
    if width < 1:
        return
    yield _Box(node, path, left, width)
    starts = accumulate((child.ms * scale for child in node.children.values()), initial=left)
    for (part, child), start in zip(node.children.items(), starts, strict=False):
        yield from _placed(child, (*path, part), start, scale)


def _drawn(box: _Box, title: str, bottom: int, total: float) -> str:
    name = box.path[-1] if box.path else title
    top = bottom - (box.level + 1) * _ROW
    colour = _COLOURS[sum(map(ord, name)) % len(_COLOURS)] if box.path else "#cfcfcf"
    share = f"{box.node.ms:.2f} ms, {box.node.ms / total:.1%}"
    text = f'<text x="{box.left + 4:.1f}" y="{top + 15}">{escape(_fitting(name, box.width))}</text>'
    return (
        f"<g><title>{escape(f'{name}: {share} {box.node.notes}'.strip())}</title>"
        f'<rect x="{box.left:.1f}" y="{top}" width="{max(box.width - 0.5, 0.5):.1f}" '
        f'height="{_ROW - 1}" fill="{colour}" rx="2"/>'
        f"{text if box.width > _TEXT_WIDTH else ''}</g>"
    )


def _is_layer(box: _Box) -> bool:
    return not box.node.children and box.width >= _NAME_WIDTH


def _named(box: _Box, bottom: int) -> str:
    """Write a layer's name, or its end, above the chart, with a line down to its box."""
    name = ".".join(box.path)
    short = name if len(name) <= _LONGEST_NAME else f"…{name[1 - _LONGEST_NAME :]}"
    middle, top = box.left + box.width / 2, _TITLE + _NAMES - 4
    return (
        f'<line class="rule" x1="{middle:.1f}" x2="{middle:.1f}" y1="{top}" '
        f'y2="{bottom - (box.level + 1) * _ROW}"/>'
        f'<text class="ink" font-size="10" transform="translate({middle + 3:.1f} {top}) '
        f'rotate(-{_LEAN})">{escape(short)}</text>'
    )


def _fitting(text: str, width: float) -> str:
    room = int((width - 8) / 7)
    return text if len(text) <= room else f"{text[: max(room - 1, 1)]}…"
