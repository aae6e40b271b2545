"""``build``: a network becomes an engine, or a bundle; a bundle becomes an engine."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.build.bundle import bundle_of
from pipeline.build.current import build_engine
from pipeline.build.options import BuildOptions
from pipeline.cli.outcome import Outcome, hooks_of, is_quiet, percent, step_bar
from pipeline.engine.manifest import Engine, Manifest
from pipeline.graph.frame_sizes import USUAL_SIZES
from pipeline.progress import Progress
from pipeline.quantization.options import Budget, Int8Options
from pipeline.runtimes.compiler import TIMING_CACHE, BuilderSettings
from pipeline.runtimes.registry import can_build, require_builder

if TYPE_CHECKING:
    from pipeline.graph.onnx_import import ForeignOptions


def run(options: argparse.Namespace) -> Outcome:
    """Build and report what was built."""
    start = time.monotonic()
    built: Engine | Path
    if options.from_bundle:
        with step_bar(quiet=is_quiet(options)) as progress:
            built = _rebuild(options, progress)
    else:
        built = _build(options)
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
    text = _text(built, seconds, options)
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


def _build(options: argparse.Namespace) -> Engine | Path:
    asked = BuildOptions(
        model=options.model or "",
        foreign=_foreign(options),
        runtime=options.runtime or "openvino",
        precision=options.precision,
        size=options.size,
        batch=options.batch or (1, 1, 1),
        sizes=options.frame_sizes or USUAL_SIZES,
        output_stride=options.output_stride,
        weights=options.weights,
        targets=options.target,
        output=options.output,
        name=options.name,
        force=options.force,
        data=options.data,
        calibration=options.calibration,
        max_miou_drop=options.max_miou_drop,
        high_precision=options.high_precision,
        front_end=options.front_end,
        builder=_settings(options),
        bundle=options.bundle,
    )
    if not asked.bundle:
        require_builder(asked.runtime)
    hooks = hooks_of(options)
    if asked.bundle and not can_build(asked.runtime):
        from pipeline.build.build import build_bundle

        with hooks.progress() as progress:
            return build_bundle(asked, progress)
    if asked.precision == "auto":
        from pipeline.build.auto_precision import build_fastest

        with hooks.progress() as progress:
            return build_fastest(asked, progress)
    return build_engine(asked, hooks)


def _foreign(options: argparse.Namespace) -> ForeignOptions | None:
    if options.onnx is None:
        return None
    from pipeline.graph.onnx_import import ForeignOptions

    return ForeignOptions(
        options.onnx,
        options.classes,
        options.mean,
        options.std,
        options.order,
        options.layout,
        options.output_name,
        options.threshold,
        options.import_memory,
        options.import_seconds,
    )


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
        f"roadseg build {bundle.name}"
    )


def _text(engine: Engine, seconds: float, options: argparse.Namespace) -> str:
    manifest = engine.manifest
    budget = Int8Options(max_miou_drop=options.max_miou_drop).budget
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
    if options.onnx is not None:
        lines.append(_input(manifest))
    lines += [*_measurements(manifest), *_int8_figures(engine, budget)]
    lines += [f"warning: {warning}" for warning in manifest.warnings]
    return "\n".join(lines)


def _input(manifest: Manifest) -> str:
    """Say how --order, --mean and --std were read: wrong ones cost accuracy silently."""
    spec = manifest.input
    channels = [
        f"{channel} ({255 * mean:.1f}, {255 * std:.1f})"
        for channel, mean, std in zip(spec.order.upper(), spec.mean, spec.std, strict=True)
    ]
    return f"input: {spec.order.upper()}, (mean, std) in grey levels: {', '.join(channels)}"


def _measurements(manifest: Manifest) -> list[str]:
    lines = []
    accuracy = manifest.accuracy or {}
    # INT8 is judged on other frames, whose figures follow: two for one thing would mislead.
    if "parity" in accuracy and manifest.precision != "int8":
        agreement = accuracy["parity"]["pixel_agreement"]
        lines.append(f"agrees with PyTorch on {100 * agreement:.2f} % of pixels")
    elif "fp16_graph" in accuracy:
        agreement = accuracy["fp16_graph"]["pixel_agreement"]
        lines.append(f"its FP16 graph agrees with FP32 on {100 * agreement:.2f} % of pixels")
    if "pixel_agreement" in accuracy and "frames" in accuracy and manifest.precision != "int8":
        share, frames = accuracy["pixel_agreement"], accuracy["frames"]
        lines.append(f"on {frames} pictures of --data: {100 * share:.2f} % of pixels as PyTorch")
    if "miou" in accuracy and manifest.precision != "int8":
        lines.append(f"mIoU {percent(accuracy['miou']).strip()}")
    if manifest.latency_ms is not None:
        lines.append(f"latency on this machine: {manifest.latency_ms['p50']:.1f} ms (median)")
    return lines


def _int8_figures(engine: Engine, budget: Budget) -> list[str]:
    """Say what accuracy INT8 costs, what it may cost, and where its report is."""
    manifest = engine.manifest
    if manifest.precision != "int8":
        return []
    figures: Mapping[str, Any] = manifest.accuracy or {}
    origin = "in this build"
    if "pixel_agreement" not in figures:
        measured = (manifest.calibration or {}).get("measured", {})
        figures, origin = measured.get("judged", {}), "when its table was made"
    lines = []
    if "miou_fp32" in figures:
        lost = 100 * (figures["miou_fp32"] - figures["miou"])
        lines.append(
            f"mIoU {100 * figures['miou']:.2f}, FP32 {100 * figures['miou_fp32']:.2f}: "
            f"{abs(lost):.2f} points {'lost' if lost > 0 else 'gained'}, "
            f"{100 * budget.miou_drop:.2f} may be lost; {figures['frames']} frames, {origin}"
        )
    elif "pixel_agreement" in figures:
        lines.append(
            f"{figures['pixel_agreement']:.2%} of pixels as in FP32, at least "
            f"{budget.agreement:.0%} must be; {figures['frames']} frames, {origin}"
        )
    if "speedup" in figures:
        where = f" on {figures['processor']}" if "processor" in figures else ""
        lines.append(f"{figures['speedup']:.1f} times as fast as FP32{where}")
    report = engine.folder / f"{manifest.name}.report.html"
    if report.exists():
        lines.append(f"report: {report}")
    return lines
