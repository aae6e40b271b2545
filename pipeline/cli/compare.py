"""``compare``: two engines on the same pictures."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipeline.cli.outcome import Outcome, counted, is_quiet, percent
from pipeline.engine.manifest import Engine, load_engine
from pipeline.errors import RuntimeMissingError
from pipeline.evaluation.compare import Comparison, check_same_classes, compare_sessions
from pipeline.evaluation.disagreement import PICTURES, claim_folder, write_disagreements
from pipeline.evaluation.pictures import open_pictures
from pipeline.runtimes.registry import open_session
from pipeline.runtimes.session import Capabilities, Session
from pipeline.stream.palettes import drawn_classes


def run(options: argparse.Namespace) -> Outcome:
    """Compare two engines, and draw where they differ if asked to."""
    engines = (load_engine(options.engines[0]), load_engine(options.engines[1]))
    classes = engines[0].manifest.classes
    names = (str(options.engines[0]), str(options.engines[1]))
    check_same_classes(classes, engines[1].manifest.classes, names)
    data = open_pictures(options.data, classes, options.frames)
    if options.pictures is not None:
        claim_folder(options.pictures)
    with _open(engines[0]) as a, _open(engines[1]) as b:
        pictures = counted(data.pictures, "comparing", data.total, quiet=is_quiet(options))
        keep = PICTURES if options.pictures is not None else 0
        comparison = compare_sessions(a, b, pictures, classes, keep=keep)
        sides = (a.capabilities, b.capabilities)
    drawn: list[Path] = []
    if options.pictures is not None:
        titles = _titles(engines)
        drawn = write_disagreements(
            options.pictures, comparison.kept, drawn_classes(classes), titles
        )
    notes = _notes(options, engines, comparison)
    document = {
        **comparison.to_json(),
        "engines": list(names),
        "precision": [side.precision for side in sides],
        "pictures": [str(path) for path in drawn],
        "notes": notes,
    }
    lines = [*_sides(names, sides), *_table(comparison), *_speed(comparison), *notes]
    lines += [f"wrote {path}" for path in drawn]
    return Outcome(document, "\n".join(lines), data.problems())


def _open(engine: Engine) -> Session:
    try:
        return open_session(engine, measuring=True)
    except RuntimeMissingError as error:  # of two engines, say which
        raise RuntimeMissingError(f"{engine.path}: {error}") from error


def _titles(engines: tuple[Engine, Engine]) -> tuple[str, str]:
    """Names for pictures; engines of one name are told apart by their folders."""
    a, b = (engine.manifest.name for engine in engines)
    if a != b:
        return a, b
    first, second = (f"{engine.folder.resolve().name}/{a}" for engine in engines)
    return first, second


def _notes(
    options: argparse.Namespace, engines: tuple[Engine, Engine], comparison: Comparison
) -> list[str]:
    notes = []
    hashes = [[file.sha256 for file in engine.manifest.files] for engine in engines]
    if hashes[0] == hashes[1]:
        notes.append("a and b are the same engine (same SHA-256): what differs is noise")
    (a, b) = (f"{e.manifest.input.width}x{e.manifest.input.height}" for e in engines)
    if a != b:
        notes.append(
            f"class maps are {a} in a and {b} in b: compared at the size of the pictures, "
            "nearest neighbour"
        )
    if comparison.scores is None:
        notes.append(f"{options.data} has no labels/: mIoU was not measured")
    if options.pictures is not None and not comparison.kept:
        notes.append("no pixel differs: no picture was drawn")
    return notes


def _sides(names: tuple[str, str], sides: tuple[Capabilities, Capabilities]) -> list[str]:
    return [
        f"{letter}: {name}  {side.precision.upper()} on {side.device} ({side.runtime})"
        for letter, name, side in zip("ab", names, sides, strict=True)
    ]


def _table(comparison: Comparison) -> list[str]:
    """Sort classes by IoU of b minus a; without labels, by agreement."""
    scores, agreement = comparison.scores, comparison.agreement
    worst = comparison.worst_frame
    least = f"least {_exact(worst.pixel_agreement)} % in {worst.name}"
    total = f"over {comparison.frames} frames, {least}"
    if scores is None:
        lines = [f"{'':<14}{'agree':>8}"]
        lines += [f"{name:<14}{_exact(agreement[name]):>8}" for name in _ascending(agreement)]
        return [*lines, f"{'all pixels':<14}{_exact(comparison.pixel_agreement):>8}   {total}"]
    a, b = scores
    difference = comparison.iou_difference
    lines = [f"{'':<14}{'IoU a':>7}{'IoU b':>7}{'b - a':>8}{'agree':>8}"]
    for name in _ascending(difference):
        lines.append(
            f"{name:<14}{percent(a.iou[name]):>7}{percent(b.iou[name]):>7}"
            f"{_signed(difference[name]):>8}{_exact(agreement[name]):>8}"
        )
    lines.append(
        f"{'mean':<14}{percent(a.miou):>7}{percent(b.miou):>7}{_signed(b.miou - a.miou):>8}"
    )
    lines.append(f"{'all pixels':<14}{'':22}{_exact(comparison.pixel_agreement):>8}   {total}")
    return lines


def _speed(comparison: Comparison) -> list[str]:
    speed = comparison.speed
    if speed is None:
        return []
    first, median, third = speed.pair_quartiles
    a, b = speed.latency
    return [
        f"a {a.fps:.1f} FPS ({a.p50:.1f} ms), b {b.fps:.1f} FPS ({b.p50:.1f} ms), medians of "
        f"{a.runs} runs in turn",
        f"b is {speed.speedup:.2f} times as fast as a; frame by frame {median:.2f}, half of the "
        f"frames within {first:.2f} to {third:.2f}",
    ]


def _ascending(values: dict[str, float | None]) -> list[str]:
    """Names by value, those without one last."""
    return sorted(values, key=lambda name: (values[name] is None, values[name] or 0.0))


def _exact(share: float | None) -> str:
    """Write percent with two decimals, since engines of one network differ little."""
    return "-" if share is None else f"{100 * share:.2f}"


def _signed(points: float | None) -> str:
    return "-" if points is None else f"{100 * points:+.2f}"
