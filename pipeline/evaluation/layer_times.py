"""Times of an engine's layers: as a table, and as a flame chart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import accumulate

from pipeline.runtimes.probe import LayerTime


def table(layers: Sequence[LayerTime], most: int = 25) -> list[str]:
    """Return lines for a person: kinds by time, then the ``most`` slowest layers."""
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
    """A module and all below it: ``children`` by name, in the order in which they first ran."""

    ms: float = 0.0
    notes: str = ""
    children: dict[str, _Node] = field(default_factory=dict)


_ROW, _WIDTH, _MARGIN = 22, 1200, 8
#: Narrower boxes get no text, those below a pixel are left out with all above them.
_TEXT_WIDTH = 34
_COLOURS = ("#e4572e", "#f3a712", "#a8c686", "#669bbc", "#8d6a9f", "#d98880", "#76b5a5")


def flame_chart(layers: Sequence[LayerTime], title: str) -> str:
    """Draw times as an SVG picture: one box per module, its parts standing on it.

    Layers stand in the module that their name says (``encoder.0.1.conv`` in ``encoder``), those
    without dots in their kind of operation. Pointing at a box shows its time.
    """
    root = _tree(layers)
    depth = _depth(root)
    height = (depth + 1) * _ROW + 2 * _MARGIN + _ROW
    boxes = "\n".join(_boxes(root, title, 0.0, 0, depth, root.ms or 1.0))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="12">\n'
        f'<rect width="100%" height="100%" fill="#fff"/>\n'
        f'<text x="{_MARGIN}" y="{_MARGIN + 14}" fill="#222">{escape(title)}: '
        f"{root.ms:.2f} ms in {len(layers)} layers</text>\n{boxes}\n</svg>\n"
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


def _boxes(
    node: _Node, name: str, left: float, level: int, depth: int, total: float
) -> Iterator[str]:
    scale = (_WIDTH - 2 * _MARGIN) / total
    width = node.ms * scale
    if width < 1:
        return
    top = _MARGIN + (depth - level) * _ROW
    colour = _COLOURS[sum(map(ord, name)) % len(_COLOURS)] if level else "#cfcfcf"
    share = f"{node.ms:.2f} ms, {node.ms / total:.1%}"
    text = (
        f'<text x="{left + _MARGIN + 4:.1f}" y="{top + 15}">{escape(_fitting(name, width))}</text>'
    )
    yield (
        f"<g><title>{escape(f'{name}: {share} {node.notes}'.strip())}</title>"
        f'<rect x="{left + _MARGIN:.1f}" y="{top}" width="{max(width - 0.5, 0.5):.1f}" '
        f'height="{_ROW - 1}" fill="{colour}" rx="2"/>'
        f"{text if width > _TEXT_WIDTH else ''}</g>"
    )
    starts = accumulate((child.ms * scale for child in node.children.values()), initial=left)
    for (part, child), start in zip(node.children.items(), starts, strict=False):
        yield from _boxes(child, part, start, level + 1, depth, total)


def _fitting(text: str, width: float) -> str:
    room = int((width - 8) / 7)
    return text if len(text) <= room else f"{text[: max(room - 1, 1)]}…"
