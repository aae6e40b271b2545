"""``scripts/check_fps.sh --history``: the stored runs of pytest-benchmark as one page."""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from benchmarks.regression.sides import ROOT
from models.atomic import atomic_path

_WIDTH, _HEIGHT, _LEFT, _FOOT, _TOP = 360, 170, 44, 30, 16
_COLOURS = ("#2a78d6", "#c4561c", "#2e8b57", "#9b59b6", "#b8860b", "#5f7183")
_STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; margin: 1.5rem auto; max-width: 76rem;
  padding: 0 1rem }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(20rem, 100%), 1fr));
  gap: 1rem } figure { margin: 0; border: 1px solid #8886; border-radius: 8px; padding: .7rem }
figcaption { font-weight: 600 } svg { width: 100%; height: auto; display: block }
svg text { font-size: 12px; fill: currentColor } svg .last { font-weight: 700 }
.rule { stroke: #8884 } li::marker { content: "\\25CF  " }
"""


@dataclass(frozen=True)
class Point:
    """One stored benchmark: on which ``machine``, of which ``commit``, and its ``fps``."""

    machine: str
    commit: str
    day: str
    fps: float
    ratio: float | None


def read(paths: Iterable[Path]) -> dict[str, list[Point]]:
    """Return the points of every benchmark of the gate, the oldest first."""
    found: defaultdict[str, list[tuple[str, Point]]] = defaultdict(list)
    for path in paths:
        document = json.loads(path.read_text(encoding="utf-8"))
        machine = document["machine_info"].get("cpu", {}).get("brand_raw", "unknown processor")
        commit = (document["commit_info"].get("id") or "unknown")[:7]
        for one in document["benchmarks"]:
            name = (one.get("params") or {}).get("time")
            if name and "fps" in one["extra_info"]:
                ratio = one["extra_info"].get("ratio_to_base", {}).get("median")
                point = Point(machine, commit, document["datetime"][:10],
                              one["extra_info"]["fps"], ratio)  # fmt: skip
                found[name].append((document["datetime"], point))
    return {name: [point for _, point in sorted(points, key=lambda one: one[0])]
            for name, points in sorted(found.items())}  # fmt: skip


def page(found: Mapping[str, Sequence[Point]]) -> str:
    """Draw a chart per benchmark: units of work a second, from run to run, a line per machine."""
    machines = list(dict.fromkeys(point.machine for points in found.values() for point in points))
    colours = {name: _COLOURS[place % len(_COLOURS)] for place, name in enumerate(machines)}
    legend = "".join(f'<li style="color:{colours[m]}">{escape(m)}</li>' for m in machines)
    charts = "".join(
        f"<figure><figcaption>{escape(name)}</figcaption>{_chart(name, points, colours)}</figure>"
        for name, points in found.items()
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Speed over commits</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style><h1>Speed over commits</h1>"
        "<p>Units of work per second: frames, or starts. Higher is faster. Lines of two machines "
        "say nothing about each other; the number below a dot is its time over that of the base "
        "commit in the same run, the one in bold the last rate. Pointing at a dot tells its "
        f"commit and day.</p><ul>{legend}</ul><main>{charts}</main></html>\n"
    )


def _chart(name: str, points: Sequence[Point], colours: Mapping[str, str]) -> str:
    unit = "starts/s" if name.startswith("start ") else "frames/s"
    top = max(point.fps for point in points) * 1.15
    step = (_WIDTH - _LEFT - 50) / max(len(points) - 1, 1)

    def spot(place: int, fps: float) -> tuple[float, float]:
        return _LEFT + 20 + place * step, _HEIGHT - _FOOT - (_HEIGHT - _FOOT - _TOP) * fps / top

    parts = [
        f'<text x="2" y="12">{_number(top)} {unit}</text>',
        f'<text x="2" y="{_HEIGHT - _FOOT}">0</text>',
        f'<path d="M{_LEFT} {_TOP}V{_HEIGHT - _FOOT}H{_WIDTH}" fill="none" stroke="#888"/>',
    ]
    for part in (0.25, 0.5, 0.75):
        _, y = spot(0, part * top)
        parts.append(f'<path class="rule" d="M{_LEFT} {y:.1f}H{_WIDTH}"/>'
                     f'<text x="{_LEFT - 4}" y="{y + 4:.1f}" text-anchor="end">'
                     f"{_number(part * top)}</text>")  # fmt: skip
    for machine, colour in colours.items():
        own = [(at, one) for at, one in enumerate(points) if one.machine == machine]
        if not own:
            continue
        x, y = spot(own[-1][0], own[-1][1].fps)
        parts.append(f'<text class="last" x="{x - 4:.1f}" y="{y - 8:.1f}" style="fill:{colour}" '
                     f'text-anchor="middle">{_number(own[-1][1].fps)}</text>')  # fmt: skip
        line = [spot(at, one.fps) for at, one in own]
        drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in line)
        parts.append(f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="2"/>')
    every = -(-len(points) // 5)
    for place, one in enumerate(points):
        x, y = spot(place, one.fps)
        ratio = "" if one.ratio is None else f", {one.ratio:.3f} of the base's time"
        told = f"{one.commit} {one.day}: {_number(one.fps)} {unit}{ratio}; {one.machine}"
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colours[one.machine]}">'
                     f"<title>{escape(told)}</title></circle>")  # fmt: skip
        if (len(points) - 1 - place) % every == 0:
            if one.ratio is not None:
                parts.append(f'<text x="{x:.1f}" y="{y + 18:.1f}" text-anchor="middle">'
                             f"{one.ratio:.2f}</text>")  # fmt: skip
            parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - 10}" text-anchor="middle">'
                         f"{escape(one.commit)}</text>")  # fmt: skip
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">{"".join(parts)}</svg>'


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page; return the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/check_fps.sh --history", description=__doc__)
    parser.add_argument("html", type=Path, metavar="HTML")
    parser.add_argument("--storage", type=Path, default=ROOT / ".benchmarks",
                        help="pytest-benchmark's; default: .benchmarks")  # fmt: skip
    options = parser.parse_args(arguments)
    found = read(options.storage.rglob("*.json"))
    if not found:
        sys.stderr.write(f"error: nothing of the gate is stored in {options.storage}; run "
                         "scripts/check_fps.sh --benchmark-autosave first\n")  # fmt: skip
        return 1
    with atomic_path(options.html) as temporary:
        temporary.write_text(page(found), encoding="utf-8")
    sys.stderr.write(f"wrote {options.html}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
