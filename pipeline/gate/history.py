"""Figures over commits as one HTML page without scripts: a small chart per figure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from pipeline.gate.baseline import KINDS, Baseline, Record

_WIDTH, _HEIGHT, _PAD = 480, 170, 34
#: More would be written over each other; a pointer over a dot shows what is left out.
_MOST_LABELS = 6
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem;
  color: #1c2430; background: #fff }
section { display: grid; grid-template-columns: repeat(auto-fill, minmax(22rem, 1fr)); gap: 1rem }
figure { margin: 0; border: 1px solid #d8dde5; border-radius: 6px; padding: .7rem }
figcaption { font-weight: 600 } svg { width: 100%; height: auto }
table { border-collapse: collapse; margin: .5rem 0 1.5rem } td, th { padding: .15rem .9rem .15rem 0;
  text-align: left; vertical-align: top }
@media (prefers-color-scheme: dark) { body { color: #dde3ea; background: #14181f }
  figure { border-color: #333c49 } }
"""


def history_page(baselines: Iterable[Baseline]) -> str:
    """Draw all figures of all baselines, from the first recording to the latest."""
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8"><title>Roadseg: figures over commits</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<style>{_STYLE}</style></head><body>",
        "<h1>Figures over commits</h1>",
        "<p>Times are multiples of a reference load through the same runtime in the same run: "
        "lower is faster, whatever the machine did meanwhile. The dashed line is what the gate "
        "allows.</p>",
    ]
    for baseline in baselines:
        parts += _section(baseline)
    return "\n".join([*parts, "</body></html>", ""])


def _section(baseline: Baseline) -> list[str]:
    subject = baseline.subject
    title = f"{subject.runtime} {subject.version}, {subject.precision}, {subject.machine}"
    charts = []
    for name, expected in baseline.figures.items():
        known = [record for record in baseline.history if name in record.values]
        kind = expected.figure.kind
        allowed = (
            expected.figure.value - expected.limit
            if kind == "share"
            else expected.figure.value * (1 + expected.limit)
        )
        unit = KINDS[kind][0]
        caption = name if not unit or unit in name else f"{name}, {unit}"
        charts.append(
            f"<figure><figcaption>{escape(caption)}</figcaption>"
            f"{_chart([record.values[name] for record in known], known, allowed)}</figure>"
        )
    rows = [
        f"<tr><td>{escape(one.recorded)}</td><td><code>{escape(one.commit)}</code></td>"
        f"<td>{escape(one.reason)}</td></tr>"
        for one in baseline.history
    ]
    return [
        f"<h2>{escape(title)}</h2>",
        "<table><tr><th>recorded</th><th>commit</th><th>why</th></tr>",
        *rows,
        "</table><section>",
        *charts,
        "</section>",
    ]


def _chart(values: Sequence[float], records: Sequence[Record], allowed: float) -> str:
    top = max(*values, allowed) * 1.1 if values else 1.0
    usable = _HEIGHT - 2 * _PAD

    def x(place: int) -> float:
        return _PAD + 20 + (_WIDTH - 2 * _PAD - 40) * (place / max(len(values) - 1, 1))

    def y(value: float) -> float:
        return _HEIGHT - _PAD - usable * value / (top or 1.0)

    line = " ".join(f"{x(place):.1f},{y(value):.1f}" for place, value in enumerate(values))

    def label(across: float, down: float, text: str, colour: str = "currentColor") -> str:
        return (
            f'<text x="{across:.1f}" y="{down:.1f}" text-anchor="middle" fill="{colour}">'
            f"{escape(text)}</text>"
        )

    every = -(-len(values) // _MOST_LABELS)
    dots = "".join(
        f'<circle cx="{x(place):.1f}" cy="{y(value):.1f}" r="4" fill="#2a6fdb"><title>'
        f"{escape(f'{record.commit} {record.recorded}: {_number(value)}, {record.reason}')}"
        "</title></circle>"
        for place, (value, record) in enumerate(zip(values, records, strict=True))
    )
    # From the latest backwards; below the dot, clear of the dashed line.
    for place in range(len(values) - 1, -1, -max(every, 1)):
        dots += label(x(place), y(values[place]) + 19, _number(values[place]))
        dots += label(x(place), _HEIGHT - 12, records[place].commit, "#7a8594")
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" font-size="12" fill="currentColor" role="img">'
        f'<line x1="{_PAD}" x2="{_WIDTH - _PAD}" y1="{y(0):.1f}" y2="{y(0):.1f}" '
        f'stroke="#9aa4b2"/><line x1="{_PAD}" x2="{_WIDTH - _PAD}" y1="{y(allowed):.1f}" '
        f'y2="{y(allowed):.1f}" stroke="#c0392b" stroke-dasharray="5 4"/>'
        f'<polyline points="{line}" fill="none" stroke="#2a6fdb" stroke-width="2"/>{dots}</svg>'
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10_000 else f"{value:.4g}"
