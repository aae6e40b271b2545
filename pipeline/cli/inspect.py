"""``inspect``: what an engine is, verified."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

from pipeline.cli.outcome import Outcome
from pipeline.engine.manifest import Manifest, load_engine


def run(options: argparse.Namespace) -> Outcome:
    """Verify the engine's files and show its manifest."""
    manifest = load_engine(options.engine).manifest
    lines = [f"{key:<14}{value}" for key, value in _facts(manifest).items()]
    lines += [f"{'warning':<14}{warning}" for warning in manifest.warnings]
    lines += ["", *_table(("layer", "precision", "why"), list(_layers(manifest)))]
    return Outcome(manifest.to_json(), "\n".join(lines))


def _facts(manifest: Manifest) -> dict[str, str]:
    smallest, largest = manifest.frames.ends
    counts = ", ".join(f"{n} {name}" for name, n in manifest.layers.counts().items() if n)
    executed = "executed" if manifest.layers.known else "planned"
    sha256 = (manifest.weights.sha256 or "")[:12]
    return {
        "engine": ", ".join(f"{file.name} ({file.bytes / 1e6:.1f} MB)" for file in manifest.files),
        "network": f"{manifest.model} {dict(manifest.variant) or ''}".strip(),
        "weights": f"{manifest.weights.name} {sha256}".strip(),
        "network size": f"{manifest.input.width}x{manifest.input.height}",
        "frames": f"{_size(smallest)} to {_size(largest)}, {manifest.frames.batch} at once",
        "runtime": f"{manifest.runtime} {manifest.runtime_version}",
        "built on": ", ".join(map(" ".join, manifest.built_on.items())) or "not recorded",
        "targets": ", ".join(manifest.targets) or "this kind of processor",
        "memory": f"{sum(file.bytes for file in manifest.files) / 1e6:.1f} MB of files",
        "precision": f"{manifest.precision} asked; convolutions {executed}: {counts}",
        "calibration": _words(manifest.calibration, ("frame_count", "source", "method"), "none"),
        "accuracy": _accuracy(manifest),
        "latency": _latency(manifest),
        "classes": ", ".join(manifest.classes.names),
    }


def _size(sides: Sequence[int]) -> str:
    return "x".join(map(str, sides))


def _words(found: object, keys: Sequence[str], otherwise: str) -> str:
    if not isinstance(found, dict):
        return otherwise
    return ", ".join(f"{key.replace('_', ' ')} {found[key]}" for key in keys if key in found)


def _accuracy(manifest: Manifest) -> str:
    accuracy = manifest.accuracy or {}
    shares = {
        "mIoU": accuracy.get("miou"),
        "mIoU in FP32": accuracy.get("miou_fp32"),
        "pixels as in FP32": accuracy.get("pixel_agreement"),
        "pixels as in PyTorch": accuracy.get("parity", {}).get("pixel_agreement"),
        "of its FP16 graph": accuracy.get("fp16_graph", {}).get("pixel_agreement"),
    }
    known = [f"{what} {100 * share:.2f} %" for what, share in shares.items() if share is not None]
    return ", ".join(known) or "not measured"


def _latency(manifest: Manifest) -> str:
    if manifest.latency_ms is None:
        return "not measured"
    return ", ".join(f"{name} {value:.1f} ms" for name, value in manifest.latency_ms.items())


def _layers(manifest: Manifest) -> Iterator[tuple[str, ...]]:
    reasons = {**(manifest.calibration or {}).get("kept", {}), **manifest.high_precision}
    layers = dict(manifest.layers.convolutions)
    for name, precision in layers.items():
        yield name, precision, reasons.get(name, "")
    for name, why in manifest.high_precision.items():
        if name not in layers:  # an operation between the convolutions
            yield name, "fp32", why


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (head, tuple("-" * width for width in widths), *rows)
    ]
