"""The report of an INT8 build: one self-contained HTML file, and its pictures as PNG files, too.

It holds no date and nothing about the machine, so the same build gives the same bytes.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from models.atomic import atomic_path
from models.classes import RGB, ClassSet
from pipeline.engine.manifest import Manifest
from pipeline.evaluation.disagreement import (
    HIGHLIGHT,
    Change,
    Disagreement,
    changes_in,
    draw_views,
    write_disagreements,
)
from pipeline.quantization.options import Budget
from pipeline.quantization.report.figures import (
    axis_of,
    class_rows,
    kept_groups,
    precision_rows,
    sensitivity_rows,
    tensor_rows,
)
from pipeline.quantization.report.provenance import provenance
from pipeline.quantization.report.summary import (
    MINUS,
    PERCENT,
    budget_of,
    percent,
    points,
    summarise,
)
from pipeline.quantization.scales import scales_of
from pipeline.quantization.search import Prepared
from pipeline.stream.frame import Image
from pipeline.stream.palettes import drawn_classes

_TEMPLATES = Path(__file__).parent / "templates"
#: Tensors that the text names: those with most values clipped, and with the lowest thresholds.
_NAMED = 3
#: JPEG qualities; loss shows less on photographs than on the few bright pixels that differ.
_PHOTOGRAPH, _DIFFERENCE = 80, 90


@dataclass(frozen=True)
class View:
    """A picture in the page: its title, data URI and size in pixels."""

    title: str
    source: str
    width: int
    height: int


_USUAL = Budget()


@dataclass(frozen=True)
class ShownFrame:
    """A frame with its pictures; ``differing`` is the share of its pixels that changed class."""

    name: str
    differing: float
    views: tuple[View, ...]
    changes: tuple[Change, ...]


def write_report(
    folder: Path, manifest: Manifest, prepared: Prepared, budget: Budget = _USUAL
) -> Path:
    """Write ``NAME.report.html`` and ``NAME.report/difference-1.png`` ...; return the HTML file.

    The manifest is the final one, with accuracy and calibration.

    Raises:
        OutputError: the pictures cannot be written.
    """
    pictures = folder / f"{manifest.name}.report"
    # Made without pictures, too: it replaces the folder of an older build.
    pictures.mkdir(parents=True, exist_ok=True)
    kept = () if prepared.comparison is None else prepared.comparison.kept
    write_disagreements(pictures, kept, drawn_classes(manifest.classes), ("FP32", "INT8"))
    path = folder / f"{manifest.name}.report.html"
    page = _environment().get_template("report.html").render(_content(manifest, prepared, budget))
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def _environment() -> Environment:
    """Autoescaping, since names in the page come from users and their files."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "hundredths": _hundredths,
        "number": _number,
        "percent": percent,
        "points": points,
        "power": _power,
        "share": _small_share,
    }
    return environment


def _content(manifest: Manifest, prepared: Prepared, budget: Budget) -> dict[str, Any]:
    comparison, table = prepared.comparison, prepared.table
    return {
        "manifest": manifest,
        "summary": summarise(manifest, prepared, budget),
        "comparison": comparison,
        "table": table,
        "folder": f"{manifest.name}.report",
        "precisions": precision_rows(manifest.layers),
        "kept": kept_groups(manifest.layers, prepared.graph.placement.convolutions),
        "attempts": prepared.attempts,
        "budget_text": budget_of(comparison, budget) if comparison else "",
        "facts": list(provenance(manifest, table)),
        **_accuracy(drawn_classes(manifest.classes), prepared),
        **_sensitivity(prepared),
        **_methods(prepared),
        **_scales(prepared),
    }


def _accuracy(classes: ClassSet, prepared: Prepared) -> dict[str, Any]:
    comparison = prepared.comparison
    if comparison is None:
        return {"classes": [], "widest_change": 1.0, "frames": [], "shown": []}
    rows = class_rows(classes, comparison)
    return {
        "classes": rows,
        "widest_change": _widest(row.change for row in rows if row.change is not None),
        "frames": [_shown(frame, classes) for frame in comparison.kept],
        "shown": list(_legend(comparison.kept, classes)),
        "highlight": HIGHLIGHT[::-1],
    }


def _sensitivity(prepared: Prepared) -> dict[str, Any]:
    rows = sensitivity_rows(prepared.sensitivity, prepared.table)
    return {"sensitivity": rows, "widest_gain": _widest(row.gain for row in rows)}


def _methods(prepared: Prepared) -> dict[str, Any]:
    measured = prepared.table.measured
    agreement = measured.get("agreement_by_method", {})
    return {
        "measured": measured,
        "methods": sorted(agreement.items(), key=lambda one: -one[1]),
        "most_changed": _widest(1 - share for share in agreement.values()),
    }


def _scales(prepared: Prepared) -> dict[str, Any]:
    rows = tensor_rows(scales_of(prepared.graph), prepared.table)
    clipped = [row for row in rows if row.clipped > 0]
    return {
        "tensors": rows,
        "axis": axis_of(rows),
        "most_clipped": sorted(clipped, key=lambda row: -row.clipped)[:_NAMED],
        "deepest": sorted(clipped, key=lambda row: row.kept)[:_NAMED],
    }


def _widest(values: Iterator[float]) -> float:
    """Return the largest magnitude to divide by, or 1 where there is none."""
    return max((abs(value) for value in values), default=0.0) or 1.0


def _shown(frame: Disagreement, classes: ClassSet) -> ShownFrame:
    views = draw_views(frame, classes)
    return ShownFrame(
        frame.name,
        1 - frame.agreement,
        (
            _view("The frame", views.frame, _PHOTOGRAPH),
            _view("Where FP32 and INT8 differ", views.differing, _DIFFERENCE),
            _view("Class map of FP32", views.a, _PHOTOGRAPH),
            _view("Class map of INT8", views.b, _PHOTOGRAPH),
        ),
        changes_in(frame, classes),
    )


def _view(title: str, image: Image, quality: int) -> View:
    full_colour = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality, *full_colour])[1]
    source = f"data:image/jpeg;base64,{base64.b64encode(encoded.tobytes()).decode()}"
    return View(title, source, image.shape[1], image.shape[0])


def _legend(frames: tuple[Disagreement, ...], classes: ClassSet) -> Iterator[tuple[str, RGB]]:
    """Yield name and colour of the classes in the class maps shown, by index."""
    present = {int(index) for one in frames for index in np.union1d(one.a, one.b)}
    for index in sorted(present):
        yield classes.names[index], classes.palette[index]


def _hundredths(share: float | None) -> str:
    return "\N{EN DASH}" if share is None else f"{100 * share:.2f}".replace("-", MINUS)


def _number(value: float) -> str:
    """Write four significant digits, with an exponent only for very small or large numbers."""
    return f"{value:.4g}".replace("-", MINUS)


def _power(exponent: int) -> str:
    """Write a power of ten without an exponent."""
    return f"{10**exponent:,}" if exponent >= 0 else f"{10.0**exponent:.{-exponent}f}"


def _small_share(share: float) -> str:
    """Write a share that is mostly far below a percent; exactly none is ``0``."""
    if share == 0:
        return "0"
    text = f"{100 * share:.2g}"
    return f"< 0.0001{PERCENT}" if "e" in text else f"{text}{PERCENT}"
