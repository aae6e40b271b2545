"""``build``: a network becomes an engine, or a bundle; a bundle becomes an engine."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from pipeline.build.bundle import bundle_of
from pipeline.cli.outcome import Outcome, percent, step_bar
from pipeline.engine.manifest import Engine, Manifest
from pipeline.graph.frame_sizes import USUAL_SIZES
from pipeline.progress import Progress
from pipeline.runtimes.compiler import TIMING_CACHE, BuilderSettings
from pipeline.runtimes.registry import can_build


def run(options: argparse.Namespace) -> Outcome:
    """Build and report what was built."""
    start = time.monotonic()
    with step_bar(quiet=options.json) as progress:
        if options.from_bundle:
            built: Engine | Path = _rebuild(options, progress)
        else:
            built = _build(options, progress)
    seconds = time.monotonic() - start
    if isinstance(built, Path):
        return _bundle_alone(built, options, seconds)
    manifest = built.manifest
    document = {
        "engine": str(built.path),
        "manifest": str(built.folder / f"{manifest.name}.json"),
        "model": manifest.model,
        "runtime": manifest.runtime,
        "precision": manifest.precision,
        "layers": manifest.layers.counts(),
        "layers_source": manifest.layers.source,
        "kernels": manifest.layers.kernels,
        "targets": list(manifest.targets),
        "accuracy": manifest.accuracy,
        "latency_ms": manifest.latency_ms,
        "bytes": sum(file.bytes for file in manifest.files),
        "warnings": list(manifest.warnings),
        "seconds": round(seconds, 2),
    }
    text = _text(built, seconds)
    if options.bundle:
        bundle = bundle_of(built)
        document["bundle"] = str(bundle)
        text += f"\n{_about(bundle)}"
    return Outcome(document, text)


def _settings(options: argparse.Namespace) -> BuilderSettings:
    return BuilderSettings(
        workspace=options.workspace,
        version_compatible=options.version_compatible,
        hardware_compatible=options.ampere_plus,
        timing_cache=options.output / TIMING_CACHE,
    )


def _build(options: argparse.Namespace, progress: Progress) -> Engine | Path:
    # Needs torch, which a machine that builds from bundles does not have.
    from pipeline.build.auto_precision import build_fastest
    from pipeline.build.build import build, build_bundle
    from pipeline.build.options import BuildOptions
    from pipeline.graph.onnx_import import ForeignOptions

    foreign = None
    if options.onnx is not None:
        foreign = ForeignOptions(
            options.onnx,
            options.classes,
            options.mean,
            options.std,
            options.order,
            options.layout,
            options.output_name,
            options.threshold,
        )

    asked = BuildOptions(
        model=options.model or "",
        foreign=foreign,
        runtime=options.runtime or "openvino",
        precision=options.precision,
        size=options.size,
        batch=options.batch or (1, 1, 1),
        sizes=options.frame_sizes or USUAL_SIZES,
        output_stride=options.output_stride,
        weights=options.weights,
        targets=options.target,
        output=options.output,
        force=options.force,
        data=options.data,
        calibration=options.calibration,
        max_miou_drop=options.max_miou_drop,
        high_precision=options.high_precision,
        front_end=options.front_end,
        builder=_settings(options),
        bundle=options.bundle,
    )
    if asked.bundle and not can_build(asked.runtime):
        return build_bundle(asked, progress)
    return (build_fastest if asked.precision == "auto" else build)(asked, progress)


def _rebuild(options: argparse.Namespace, progress: Progress) -> Engine:
    from pipeline.build.from_bundle import RebuildOptions, rebuild

    asked = RebuildOptions(
        options.runtime,
        options.target,
        options.frame_sizes,
        options.output,
        options.force,
        _settings(options),
        options.high_precision,
    )
    return rebuild(Path(options.model), asked, progress)


def _bundle_alone(bundle: Path, options: argparse.Namespace, seconds: float) -> Outcome:
    document: dict[str, Any] = {
        "engine": None,
        "bundle": str(bundle),
        "model": options.model or options.onnx.stem,
        "runtime": options.runtime,
        "seconds": round(seconds, 2),
    }
    return Outcome(
        document, f"{_about(bundle)}\n{options.runtime} is not installed here: no engine was built"
    )


def _about(bundle: Path) -> str:
    return (
        f"{bundle}  {bundle.stat().st_size / 1e6:.1f} MB; on the other machine: "
        f"python -m pipeline build {bundle.name}"
    )


def _text(engine: Engine, seconds: float) -> str:
    manifest = engine.manifest
    size = sum(file.bytes for file in manifest.files) / 1e6
    verb = "run in" if manifest.layers.known else "are planned in"
    counts = manifest.layers.counts().items()
    shares = ", ".join(f"{count} {name.upper()}" for name, count in counts if count)
    lines = [
        f"{engine.path}  {size:.1f} MB, built in {seconds:.0f} s",
        f"convolutions {verb}: {shares}",
    ]
    if manifest.layers.kernels is not None:
        lines[-1] += f"; {manifest.layers.kernels} kernels"
    if manifest.targets:
        lines.append(f"targets: {', '.join(manifest.targets)}")
    if manifest.high_precision:
        lines.append(f"kept in FP32: {', '.join(manifest.high_precision)}")
    lines += _measurements(manifest)
    lines += [f"warning: {warning}" for warning in manifest.warnings]
    return "\n".join(lines)


def _measurements(manifest: Manifest) -> list[str]:
    lines = []
    accuracy = manifest.accuracy or {}
    if "parity" in accuracy:
        agreement = accuracy["parity"]["pixel_agreement"]
        lines.append(f"agrees with PyTorch on {100 * agreement:.2f} % of pixels")
    elif "fp16_graph" in accuracy:
        agreement = accuracy["fp16_graph"]["pixel_agreement"]
        lines.append(f"its FP16 graph agrees with FP32 on {100 * agreement:.2f} % of pixels")
    if "miou" in accuracy:
        lines.append(f"mIoU {percent(accuracy['miou']).strip()}")
    if manifest.latency_ms is not None:
        lines.append(f"latency on this machine: {manifest.latency_ms['p50']:.1f} ms (median)")
    return lines
