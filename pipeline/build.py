"""From a registered network to a verified engine with its manifest."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch

from calibration.dataset import open_labelled_folder
from calibration.synthetic import SyntheticDrive
from models.registry import build_model, model_spec
from models.spec import ModelSpec
from models.weights import LoadedWeights, load_weights, with_classes_of
from pipeline.bench import measure_latency
from pipeline.compilers import open_compiler
from pipeline.compilers.base import Compiled, Compiler, Job, Progress
from pipeline.deploy import FRAME_SIZES, DeploymentGraph
from pipeline.engine import Engine, Manifest, check_replaceable, describe_file, write_manifest
from pipeline.errors import BuildError, OutputError, RuntimeMissingError
from pipeline.evaluate import evaluate
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
        precision: ``fp32`` or ``fp16``; None for the runtime's default.
        size: (width, height) of the network; None for that of the weights.
        output_stride: of networks that leave a choice; None for the registered one.
        weights: file, registered name, ``none``, or None for the best registered ones.
        targets: GPU architectures; empty for the runtime's default.
        output: folder for the engine.
        force: replace files that are not ours.
        data: labelled folder on which to measure mIoU after the build.
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
    with _writable(options.output):
        check_replaceable(options.output, name, compiler.suffixes, options.force)
        torch.manual_seed(0)  # '--weights none' is the same network every time
        network = build_model(spec)
        weights = load_weights(network, spec, options.weights)
        graph = DeploymentGraph(network, spec.input)
        with tempfile.TemporaryDirectory(dir=options.output, prefix=".build-") as scratch:
            job = Job(graph, name, precision, targets, Path(scratch))
            compiled = compiler.compile(job, progress)
            draft = _manifest(spec, job, compiler, compiled, weights)
            manifest = _measured(Engine(draft, job.folder), graph, options, progress)
            for file in compiled.files:
                os.replace(file, options.output / file.name)
        write_manifest(options.output, manifest)
    return Engine(manifest, options.output)


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
def _writable(folder: Path) -> Iterator[None]:
    """Make the output folder, and turn every failure to write there into one line."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise OutputError(
            f"cannot write the engine to {folder} ({error.strerror or error}); free some space "
            "there or choose another folder with --output"
        ) from error


def _manifest(
    spec: ModelSpec, job: Job, compiler: Compiler, compiled: Compiled, weights: LoadedWeights
) -> Manifest:
    smallest, largest = FRAME_SIZES
    return Manifest(
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


def _measured(
    engine: Engine, graph: DeploymentGraph, options: BuildOptions, progress: Progress
) -> Manifest:
    """Run the engine where this machine can: agreement with PyTorch, latency, mIoU if asked."""
    manifest = engine.manifest
    if manifest.runtime not in SESSIONS:
        if options.data is not None:
            raise RuntimeMissingError(
                f"--data was given, but this machine cannot run {manifest.runtime} engines to "
                f"measure mIoU; drop --data or build for {', '.join(SESSIONS)}"
            )
        return manifest
    with open_session(engine) as session:
        progress("comparing with PyTorch", 0.0)
        accuracy: dict[str, object] = {"parity": _parity(session, graph, manifest)}
        progress("measuring latency", 0.5)
        frame = _synthetic(manifest.input.width, manifest.input.height, 0)
        latency = measure_latency(session, frame, seconds=2.0, runs=30)
        if options.data is not None:
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
        frame = _synthetic(manifest.input.width, manifest.input.height, index)
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


def _synthetic(width: int, height: int, index: int) -> Frames:
    """Return frame ``index`` of the synthetic drive, (1, H, W, 3) uint8 BGR."""
    image, _ = SyntheticDrive(max(width, 64), max(height, 64)).frame(index)
    return np.asarray(cv2.resize(image, (width, height)), np.uint8)[None]
