"""``build``: a network becomes an engine."""

from __future__ import annotations

import argparse
import time

from pipeline.auto import build_fastest
from pipeline.build import BuildOptions, build
from pipeline.cli.outcome import Outcome, percent, step_bar
from pipeline.engine import Engine


def run(options: argparse.Namespace) -> Outcome:
    """Build and report what was built."""
    asked = BuildOptions(
        model=options.model,
        runtime=options.runtime,
        precision=options.precision,
        size=options.size,
        output_stride=options.output_stride,
        weights=options.weights,
        targets=options.target,
        output=options.output,
        force=options.force,
        data=options.data,
        calibration=options.calibration,
        max_miou_drop=options.max_miou_drop,
    )
    start = time.monotonic()
    with step_bar(quiet=options.json) as progress:
        engine = (build_fastest if asked.precision == "auto" else build)(asked, progress)
    seconds = time.monotonic() - start
    manifest = engine.manifest
    counts = manifest.layers.counts()
    document = {
        "engine": str(engine.path),
        "manifest": str(engine.folder / f"{manifest.name}.json"),
        "model": manifest.model,
        "runtime": manifest.runtime,
        "precision": manifest.precision,
        "layers": counts,
        "layers_source": manifest.layers.source,
        "targets": list(manifest.targets),
        "accuracy": manifest.accuracy,
        "latency_ms": manifest.latency_ms,
        "bytes": sum(file.bytes for file in manifest.files),
        "warnings": list(manifest.warnings),
        "seconds": round(seconds, 2),
    }
    return Outcome(document, _text(engine, counts, seconds))


def _text(engine: Engine, counts: dict[str, int], seconds: float) -> str:
    manifest = engine.manifest
    size = sum(file.bytes for file in manifest.files) / 1e6
    verb = "run in" if manifest.layers.source == "engine" else "are planned in"
    shares = ", ".join(f"{count} {name.upper()}" for name, count in counts.items() if count)
    lines = [
        f"{engine.path}  {size:.1f} MB, built in {seconds:.0f} s",
        f"convolutions {verb}: {shares}",
    ]
    if manifest.targets:
        lines.append(f"targets: {', '.join(manifest.targets)}")
    if manifest.accuracy is not None:
        agreement = manifest.accuracy["parity"]["pixel_agreement"]
        lines.append(f"agrees with PyTorch on {100 * agreement:.2f} % of pixels")
        if "miou" in manifest.accuracy:
            lines.append(f"mIoU {percent(manifest.accuracy['miou']).strip()}")
    if manifest.latency_ms is not None:
        lines.append(f"latency on this machine: {manifest.latency_ms['p50']:.1f} ms (median)")
    lines += [f"warning: {warning}" for warning in manifest.warnings]
    return "\n".join(lines)
