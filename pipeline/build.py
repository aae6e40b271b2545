"""From a registered network to a verified engine with its manifest."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch

from calibration.dataset import open_labelled_folder
from calibration.synthetic import SyntheticDrive
from models.registry import build_model, model_spec
from models.spec import ModelSpec
from models.weights import load_weights, with_classes_of
from pipeline.assemble import assemble
from pipeline.bench import measure_latency
from pipeline.captured import CapturedGraph
from pipeline.compilers import open_compiler
from pipeline.compilers.base import Compiler, Job, Progress
from pipeline.deploy import DeploymentGraph
from pipeline.engine import Engine, Manifest, check_replaceable, write_manifest
from pipeline.errors import BuildError, OutputError, RuntimeMissingError
from pipeline.evaluate import evaluate
from pipeline.int8.calibrate import Subject
from pipeline.int8.evidence import with_evidence
from pipeline.int8.prepare import Request, prepare
from pipeline.int8.report import write_report
from pipeline.parity import TOLERANCES
from pipeline.sessions import SESSIONS, open_session
from pipeline.sessions.base import Frames, Session
from pipeline.sessions.eager import EagerSession

#: Frames of the synthetic drive on which an engine is compared with PyTorch.
PARITY_FRAMES = (0, 150, 300)


@dataclass(frozen=True)
class BuildOptions:
    """What to build.

    Attributes:
        model: registry name.
        runtime: name in the compiler table.
        precision: one of the runtime's; None for its default.
        size: (width, height) of the network; None for that of the weights.
        output_stride: of networks that leave a choice; None for the registered one.
        weights: file, registered name, ``none``, or None for the best registered ones.
        targets: GPU architectures; empty for the runtime's default.
        output: folder for the engine.
        force: replace files that are not ours.
        data: labelled folder on which to measure mIoU after the build.
        calibration: for ``int8``: table, folder of pictures or video; None for the registered
            table.
        max_miou_drop: for ``int8``: largest loss of mIoU on ``data``, 0 to 1; None for the default.
    """

    model: str
    runtime: str = "openvino"
    precision: str | None = None
    size: tuple[int, int] | None = None
    output_stride: int | None = None
    weights: str | None = None
    targets: tuple[str, ...] = ()
    output: Path = Path("engines")
    force: bool = False
    data: Path | None = None
    calibration: Path | None = None
    max_miou_drop: float | None = None


def build(options: BuildOptions, progress: Progress) -> Engine:
    """Build, read back, compare with PyTorch, and only then publish the engine.

    Raises:
        RoadsegError: anything a user can cause; nothing is left half-written then.
    """
    spec = _strided(_sized(model_spec(options.model), options.size), options.output_stride)
    spec = with_classes_of(spec, options.weights)
    compiler = open_compiler(options.runtime)
    precision = _precision(options.precision, compiler)
    targets = compiler.check_targets(options.targets)
    name = engine_name(spec, options.runtime, precision)
    with writable(options.output):
        check_replaceable(options.output, name, compiler.suffixes, options.force)
        torch.manual_seed(0)  # '--weights none' is the same network every time
        network = build_model(spec)
        weights = load_weights(network, spec, options.weights)
        graph = DeploymentGraph(network, spec.input)
        with tempfile.TemporaryDirectory(dir=options.output, prefix=".build-") as scratch:
            job = Job(graph, name, precision, targets, Path(scratch))
            prepared = None
            if precision == "int8":
                subject = Subject(spec, weights, CapturedGraph(graph))
                request = _request(options, compiler, job)
                prepared = prepare(subject, request, progress)
                job = replace(job, graph=prepared.graph)
            engine = assemble(job, compiler, spec, weights, progress)
            engine = replace(engine, manifest=_measured(engine, graph, options, progress))
            if prepared is not None:
                engine = replace(engine, manifest=with_evidence(engine, prepared))
                write_report(engine.folder, engine.manifest, prepared, request.budget)
            return publish(engine, options.output)


def publish(engine: Engine, output: Path) -> Engine:
    """Move an engine, and what its build left beside it, to ``output``; the manifest comes last.

    Everything called ``NAME.*`` in the engine's folder belongs to it.
    """
    manifest = engine.manifest
    for path in sorted(engine.folder.glob(f"{manifest.name}.*")):
        target = output / path.name
        if target.is_dir():
            shutil.rmtree(target)
        if path.name != f"{manifest.name}.json":
            os.replace(path, target)
    write_manifest(output, manifest)
    return Engine(manifest, output)


def engine_name(spec: ModelSpec, runtime: str, precision: str) -> str:
    """Return the stem of an engine's files; what is not as registered is named."""
    usual = model_spec(spec.name)
    size = (spec.input.width, spec.input.height)
    suffix = "" if size == (usual.input.width, usual.input.height) else f"-{size[0]}x{size[1]}"
    if spec.output_stride != usual.output_stride:
        suffix += f"-os{spec.output_stride}"
    return f"{spec.name}-{runtime}-{precision}{suffix}"


def _sized(spec: ModelSpec, size: tuple[int, int] | None) -> ModelSpec:
    if size is None:
        return spec
    width, height = size
    spec.check_size(width, height)
    return replace(spec, input=replace(spec.input, width=width, height=height))


def _strided(spec: ModelSpec, stride: int | None) -> ModelSpec:
    if stride is None or stride == spec.output_stride:
        return spec
    if stride not in spec.output_strides:
        known = ", ".join(str(known) for known in (spec.output_stride, *spec.output_strides))
        raise BuildError(
            f"--output-stride {stride} was given, {spec.name} has {known}; choose among these"
        )
    return replace(spec, output_stride=stride, variant={**spec.variant, "output_stride": stride})


def _precision(asked: str | None, compiler: Compiler) -> str:
    precision = asked or compiler.default_precision()
    if precision not in compiler.precisions:
        raise BuildError(
            f"--precision {precision} was given, {compiler.runtime} builds "
            f"{', '.join(compiler.precisions)}; choose one of these"
        )
    return precision


@contextmanager
def writable(folder: Path) -> Iterator[None]:
    """Make the output folder, and turn every failure to write there into one line."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise OutputError(
            f"cannot write the engine to {folder} ({error.strerror or error}); free some space "
            "there or choose another folder with --output"
        ) from error


def _request(options: BuildOptions, compiler: Compiler, job: Job) -> Request:
    return Request(
        options.calibration, options.data, options.max_miou_drop, compiler.unsigned, job.folder
    )


def _measured(
    engine: Engine, graph: DeploymentGraph, options: BuildOptions, progress: Progress
) -> Manifest:
    """Run the engine where this machine can: agreement with PyTorch, latency, mIoU if asked."""
    manifest = engine.manifest
    if manifest.runtime not in SESSIONS:
        if options.data is not None and manifest.precision != "int8":  # judged before
            raise RuntimeMissingError(
                f"--data was given, but this machine cannot run {manifest.runtime} engines to "
                f"measure mIoU; drop --data or build for {', '.join(SESSIONS)}"
            )
        return manifest
    with open_session(engine) as session:
        progress("comparing with PyTorch", 0.0)
        accuracy: dict[str, object] = {"parity": _parity(session, graph, manifest)}
        progress("measuring latency", 0.5)
        frame = drawn_frame(manifest.input.width, manifest.input.height, 0)
        latency = measure_latency(session, frame, seconds=2.0, runs=30)
        if options.data is not None and manifest.precision != "int8":
            progress("measuring mIoU", 0.7)
            samples = open_labelled_folder(options.data, manifest.classes)
            scores = evaluate(session, samples, manifest.classes)
            accuracy["miou"] = scores.miou
            accuracy["frames"] = scores.frames
        progress("measured", 1.0)
    return replace(manifest, accuracy=accuracy, latency_ms=latency.to_json())


def _parity(session: Session, graph: DeploymentGraph, manifest: Manifest) -> dict[str, object]:
    reference = EagerSession(graph)
    shares = []
    for index in PARITY_FRAMES:
        frame = drawn_frame(manifest.input.width, manifest.input.height, index)
        shares.append(float(np.mean(session.run(frame) == reference.run(frame))))
    agreement = min(shares)
    broken = TOLERANCES["fp32"].agreement
    if manifest.precision == "fp32" and agreement < broken:
        raise BuildError(
            f"the {manifest.runtime} engine agrees with PyTorch on {agreement:.1%} of pixels, "
            f"expected at least {broken:.0%} in FP32; the runtime miscomputes an operation, "
            "please report the network and the runtime's version"
        )
    return {"frames": len(shares), "pixel_agreement": agreement, "reference": "PyTorch FP32"}


def drawn_frame(width: int, height: int, index: int) -> Frames:
    """Return frame ``index`` of the synthetic drive, (1, H, W, 3) uint8 BGR."""
    image, _ = SyntheticDrive(max(width, 64), max(height, 64)).frame(index)
    return np.asarray(cv2.resize(image, (width, height)), np.uint8)[None]
