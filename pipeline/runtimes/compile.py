"""Compiling an engine and drafting its manifest, for builds and for the accuracy gate."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata

from models.spec import LoadedWeights, NetworkSpec
from pipeline import __version__
from pipeline.engine.manifest import Engine, Manifest, describe_file
from pipeline.engine.records import FrameRange
from pipeline.errors import BuildError
from pipeline.progress import Progress
from pipeline.runtimes.compiler import Compiled, Compiler, Job


def assemble(
    job: Job, compiler: Compiler, spec: NetworkSpec, weights: LoadedWeights, progress: Progress
) -> Engine:
    """Compile ``job`` and read the precisions back; nothing is measured yet.

    Returns:
        The engine in the job's folder; its manifest is not on disk.

    Raises:
        BuildError: the runtime refused the network, or a convolution that should be INT8 is not.
    """
    return described(job, compiled(job, compiler, progress), compiler, spec, weights)


def compiled(job: Job, compiler: Compiler, progress: Progress) -> Compiled:
    """Compile ``job``, and check that the planned convolutions are INT8.

    Raises:
        BuildError: the runtime refused the network, or a convolution that should be INT8 is not.
    """
    result = compiler.compile(job, progress)
    check_int8(job.int8, result.layers.convolutions, compiler.runtime)
    return result


def described(
    job: Job, result: Compiled, compiler: Compiler, spec: NetworkSpec, weights: LoadedWeights
) -> Engine:
    """Return the engine with the draft of its manifest."""
    manifest = Manifest(
        name=job.name,
        model=spec.name,
        variant=dict(spec.variant),
        weights=weights,
        classes=spec.classes,
        input=spec.input,
        frames=frames_of(job),
        precision=job.precision,
        layers=result.layers,
        runtime=compiler.runtime,
        runtime_version=result.runtime_version,
        targets=job.form.targets,
        files=tuple(describe_file(file) for file in result.files),
        built_on=compiler.machine(),
        settings={
            "roadseg": __version__,
            "torch": metadata.version("torch"),
            "resize": "bilinear, half-pixel centres",
            **result.settings,
        },
        warnings=result.warnings,
    )
    return Engine(manifest, job.folder)


def frames_of(job: Job) -> FrameRange:
    """Return the frames that a job's engine takes, for its manifest."""
    return FrameRange(
        batch=job.form.batch[2],
        batch_range=job.form.batch,
        smallest=min(job.form.sizes[0]),
        largest=max(job.form.sizes[-1]),
        sizes=job.form.sizes,
    )


def check_int8(planned: tuple[str, ...], found: Mapping[str, str], runtime: str) -> None:
    """Compare the convolutions planned for INT8 with the precisions read back.

    Raises:
        BuildError: lists the convolutions that are not INT8, and their precisions.
    """
    broken = [name for name in planned if found.get(name) != "int8"]
    if broken:
        listed = ", ".join(f"{name} ({found.get(name, 'not found')})" for name in broken)
        raise BuildError(
            f"{len(broken)} of {len(planned)} convolutions that were to run in INT8 do not in the "
            f"{runtime} engine: {listed}; build with --precision fp16 or fp32, and report the "
            "network and the runtime's version"
        )
