"""``inspect``: what an engine is, verified."""

from __future__ import annotations

import argparse

from pipeline.cli.outcome import Outcome
from pipeline.engine import load_engine


def run(options: argparse.Namespace) -> Outcome:
    """Verify the engine's files and show its manifest."""
    manifest = load_engine(options.engine).manifest
    counts = ", ".join(f"{n} {name}" for name, n in manifest.layers.counts().items() if n)
    executed = "executed" if manifest.layers.source == "engine" else "planned"
    rows = {
        "engine": ", ".join(f"{file.name} ({file.bytes / 1e6:.1f} MB)" for file in manifest.files),
        "network": f"{manifest.model} {dict(manifest.variant) or ''}".strip(),
        "weights": f"{manifest.weights['name']} {(manifest.weights['sha256'] or '')[:12]}".strip(),
        "network size": f"{manifest.input.width}x{manifest.input.height}",
        "runtime": f"{manifest.runtime} {manifest.runtime_version}",
        "targets": ", ".join(manifest.targets) or "this kind of CPU",
        "precision": f"{manifest.precision} asked; convolutions {executed}: {counts}",
        "calibration": str(manifest.calibration or "none"),
        "accuracy": str(manifest.accuracy or "not measured"),
        "latency (ms)": str(manifest.latency_ms or "not measured"),
        "classes": ", ".join(manifest.classes.names),
    }
    lines = [f"{key:<14}{value}" for key, value in rows.items()]
    lines += [f"{'warning':<14}{warning}" for warning in manifest.warnings]
    return Outcome(manifest.to_json(), "\n".join(lines))
