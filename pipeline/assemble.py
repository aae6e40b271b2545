"""One compiled engine with the draft of its manifest: what builds and the accuracy gate share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import torch

from models.spec import ModelSpec
from models.weights import LoadedWeights
from pipeline.compilers.base import Compiler, Job, Progress
from pipeline.deploy import FRAME_SIZES
from pipeline.engine import Engine, Manifest, describe_file
from pipeline.errors import BuildError
from pipeline.quantised import QuantisedGraph


def assemble(
    job: Job, compiler: Compiler, spec: ModelSpec, weights: LoadedWeights, progress: Progress
) -> Engine:
    """Compile ``job`` and read back what came of it; nothing is measured yet.

    Returns:
        The engine in the job's folder; its manifest is not on disk.

    Raises:
        BuildError: the runtime refused the network, or a convolution that should be INT8 is not.
    """
    compiled = compiler.compile(job, progress)
    if isinstance(job.graph, QuantisedGraph):
        check_int8(job.graph.placement.int8, compiled.layers.convolutions, compiler.runtime)
    smallest, largest = FRAME_SIZES
    manifest = Manifest(
        name=job.name,
        model=spec.name,
        variant=dict(spec.variant),
        weights=asdict(weights),
        classes=spec.classes,
        input=spec.input,
        frames={
            "dtype": "uint8",
            "layout": "NHWC",
            "order": "bgr",
            "batch": 1,
            "smallest": smallest,
            "largest": largest,
        },
        precision=job.precision,
        layers=compiled.layers,
        runtime=compiler.runtime,
        runtime_version=compiled.runtime_version,
        targets=job.targets,
        files=tuple(describe_file(file) for file in compiled.files),
        settings={"torch": torch.__version__, "resize": "bilinear, half-pixel centres"},
        warnings=compiled.warnings,
    )
    return Engine(manifest, job.folder)


def check_int8(planned: tuple[str, ...], found: Mapping[str, str], runtime: str) -> None:
    """Compare what was to run in INT8 with what was read back.

    Raises:
        BuildError: lists the convolutions that do not, and what they run in instead.
    """
    broken = [name for name in planned if found.get(name) != "int8"]
    if broken:
        listed = ", ".join(f"{name} ({found.get(name, 'not found')})" for name in broken)
        raise BuildError(
            f"{len(broken)} of {len(planned)} convolutions that were to run in INT8 do not in the "
            f"{runtime} engine: {listed}; build with --precision fp16 or fp32, and report the "
            "network and the runtime's version"
        )
