"""An engine for this machine from a bundle; this needs the runtime, but not torch."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, fields, replace
from pathlib import Path

from pipeline.build.bundle import SUFFIX, open_bundle
from pipeline.engine.compatibility import architecture_fits
from pipeline.engine.manifest import Engine, Manifest, check_name, describe_file, read_manifest
from pipeline.engine.publish import build_folder, publish, writable
from pipeline.engine.records import Calibration
from pipeline.engine.replace import Origin, check_replaceable
from pipeline.errors import BuildError, EngineError
from pipeline.evaluation.latency import latency_of, time_runs
from pipeline.evaluation.pictures import drawn_frame
from pipeline.graph.frame_sizes import USUAL_SIZES, Sizes
from pipeline.progress import Progress
from pipeline.runtimes.compile import compiled, frames_of
from pipeline.runtimes.compiler import (
    DEFAULT_SETTINGS,
    TIMING_CACHE,
    BuilderSettings,
    Compiler,
    EngineForm,
    Job,
)
from pipeline.runtimes.high_precision import ASKED, named_layers
from pipeline.runtimes.registry import COMPILERS, missing, open_compiler, open_session
from pipeline.runtimes.tensorrt.cuda.presence import why_no_gpu


@dataclass(frozen=True)
class RebuildOptions:
    """How to build a bundle's engine.

    Attributes:
        runtime: name in the compiler table; None for the bundle's.
        targets: GPU architectures; empty for the runtime's default.
        sizes: width and height of the smallest, usual and largest frame; None for the bundle's.
        output: folder for the engine.
        force: replace files that are not ours.
        builder: what TensorRT's builder may do.
        high_precision: convolutions, INT8 in the bundle, to compute in floating point.
    """

    runtime: str | None = None
    targets: tuple[str, ...] = ()
    sizes: Sizes | None = None
    output: Path = Path("engines")
    force: bool = False
    builder: BuilderSettings = DEFAULT_SETTINGS
    high_precision: tuple[str, ...] = ()


def rebuild(path: Path, options: RebuildOptions, progress: Progress) -> Engine:
    """Build the engine of the bundle at ``path``, measure it if it runs here, and publish it.

    The bundle is copied beside the engine for ``run --rebuild``.

    Raises:
        EngineError: not a bundle, or a damaged one.
        RoadsegError: the runtime is missing, or it refuses the network.
    """
    with open_bundle(path) as (manifest, onnx, table):
        runtime = options.runtime or manifest.runtime
        compiler = open_compiler(runtime)
        name = manifest.name.replace(f"-{manifest.runtime}-", f"-{runtime}-")
        check_name(name, path)
        form = EngineForm(
            targets=compiler.check_targets(options.targets, manifest.precision),
            batch=manifest.frames.batch_range,
            sizes=options.sizes or manifest.frames.sizes or USUAL_SIZES,
            builder=options.builder,
        )
        int8 = [name for name, kind in manifest.layers.convolutions.items() if kind == "int8"]
        floats = named_layers(options.high_precision, int8)
        if floats and not compiler.strongly_typed:
            raise BuildError(
                f"--high-precision was given with a bundle for {runtime}, which computes a file as "
                "it is; build the network itself with that option"
            )
        with writable(options.output):
            origin = Origin.of(manifest)
            check_replaceable(options.output, name, compiler.suffixes, options.force, origin)
            with build_folder(options.output) as scratch:
                left = tuple(name for name in int8 if name not in floats)
                job = Job(onnx, name, manifest.precision, form, scratch, left, floats)
                engine = _built(job, compiler, manifest, progress)
                if table is not None:
                    shutil.copy(table, job.folder / f"{name}.calibration.json")
                kept = options.output / f"{name}{SUFFIX}"
                if path.is_file() and not (kept.exists() and kept.samefile(path)):
                    shutil.copy(path, job.folder / kept.name)
                return publish(engine, options.output)


def rebuild_engine(path: Path, progress: Progress) -> Engine:
    """Build the engine at ``path`` again, from the bundle beside it, and replace it.

    Args:
        path: the engine's file or its manifest, which may be damaged or missing.
        progress: called during long steps.

    Raises:
        EngineError: there is no bundle.
        RoadsegError: as :func:`rebuild`.
    """
    bundle = path.with_name(f"{path.stem}{SUFFIX}")
    if not bundle.exists():
        raise EngineError(
            f"--rebuild was given, but {bundle} is not there; build the network again, with "
            "--bundle, or copy the bundle beside the engine"
        )
    runtime = max((name for name in COMPILERS if f"-{name}-" in path.stem), key=len, default=None)
    options = RebuildOptions(runtime, output=path.parent, force=True)
    try:
        old = read_manifest(path.with_suffix(".json"))
    except EngineError:  # damaged or missing, so its settings are not known
        return rebuild(bundle, options, progress)
    return rebuild(bundle, _as_asked(options, old), progress)


def _as_asked(options: RebuildOptions, old: Manifest) -> RebuildOptions:
    """Take the old engine's settings, such as its workspace: they were chosen for this machine."""
    asked = {
        field.name: old.settings[field.name]
        for field in fields(BuilderSettings)
        if field.name in old.settings
    }
    times = options.output / TIMING_CACHE
    return replace(
        options,
        targets=_targets(old),
        sizes=old.frames.sizes,
        builder=BuilderSettings(**{**asked, "timing_cache": times}),
        high_precision=tuple(old.settings.get("high_precision", ())),
    )


def _targets(old: Manifest) -> tuple[str, ...]:
    """Return the old targets where this machine's GPU is among them, else those that suit it."""
    if old.runtime != "tensorrt-rtx":
        return ()  # the other runtimes build for this machine
    here = _architecture()
    if here is None or architecture_fits(old, here):
        return old.targets
    return (here,) if here == "sm75" else ()  # the default target is Ampere and later


def _architecture() -> str | None:
    if why_no_gpu() is not None:
        return None
    try:
        from pipeline.runtimes.tensorrt.cuda.driver import open_gpu
    except ImportError:
        return None
    return open_gpu().info.architecture


def _calibration(manifest: Manifest, high_precision: tuple[str, ...]) -> Calibration | None:
    """Return the bundle's section on calibration, plus what this build keeps out of INT8."""
    if manifest.calibration is None or not high_precision:
        return manifest.calibration
    kept = {**manifest.calibration.get("kept", {}), **dict.fromkeys(high_precision, ASKED)}
    return Calibration(**{**manifest.calibration, "kept": kept})


def _built(job: Job, compiler: Compiler, manifest: Manifest, progress: Progress) -> Engine:
    result = compiled(job, compiler, progress)
    kept = {"high_precision": list(job.high_precision)} if job.high_precision else {}
    built = replace(
        manifest,
        name=job.name,
        runtime=compiler.runtime,
        runtime_version=result.runtime_version,
        targets=job.form.targets,
        frames=frames_of(job),
        files=tuple(describe_file(file) for file in result.files),
        layers=result.layers,
        built_on=compiler.machine(),
        settings={**manifest.settings, **result.settings, **kept, "built_from": "a bundle"},
        warnings=result.warnings,
        calibration=_calibration(manifest, job.high_precision),
    )
    engine = Engine(built, job.folder)
    reason = missing(compiler.runtime)
    if reason is not None:
        warning = f"built without running it ({reason}): its latency was not measured"
        return replace(engine, manifest=replace(built, warnings=(*built.warnings, warning)))
    with open_session(engine, measuring=True) as session:
        progress("measuring latency", 0.9)
        times = time_runs(session, drawn_frame(built.input, 0), seconds=2.0, runs=30)
    return replace(engine, manifest=replace(built, latency_ms=latency_of(times).to_json()))
