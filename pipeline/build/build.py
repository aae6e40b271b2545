"""From a network to a verified engine with its manifest, or to a bundle for another machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from models.spec import ModelSpec
from pipeline.build.bundle import check_bundle, describe_bundle, write_bundle
from pipeline.build.network import Candidate, choose
from pipeline.build.options import BuildOptions
from pipeline.build.verify import PARITY_FRAMES, drawn_frame, measured
from pipeline.engine.manifest import Engine
from pipeline.engine.publish import build_folder, publish, writable
from pipeline.engine.records import Accuracy, Parity
from pipeline.engine.replace import Origin, check_replaceable
from pipeline.errors import BuildError
from pipeline.evaluation.pictures import open_pictures
from pipeline.graph.deployment import DeploymentGraph
from pipeline.graph.exported import ExportedGraph
from pipeline.graph.fp16 import FP16Graph, named, overflowing, to_fp16
from pipeline.progress import Progress
from pipeline.quantization.calibrate import Target
from pipeline.quantization.report.manifest_section import with_int8_sections
from pipeline.quantization.report.page import write_report
from pipeline.quantization.search import Prepared, Request, prepare
from pipeline.runtimes.compile import assemble, described
from pipeline.runtimes.compiler import Compiler, Job
from pipeline.runtimes.high_precision import named_layers
from pipeline.runtimes.registry import default_front_end, open_compiler
from pipeline.runtimes.session import Frames

#: Labelled frames on which it is tried what FP16 cannot hold.
TRIED_FRAMES = 4


def build(options: BuildOptions, progress: Progress) -> Engine:
    """Build, read back, compare with PyTorch, and only then publish the engine.

    Raises:
        RoadsegError: anything a user can cause; nothing is left half-written then.
    """
    with _plan(options, progress) as plan:
        job = plan.job
        engine = assemble(job, plan.compiler, plan.spec, plan.candidate.weights, progress)
        manifest = measured(engine, plan.graph, options, progress)
        engine = plan.with_int8_sections(replace(engine, manifest=manifest))
        if options.bundle:
            write_bundle(engine, _exported(plan), engine.folder)
        return publish(engine, options.output)


def build_bundle(options: BuildOptions, progress: Progress) -> Path:
    """Leave a bundle and no engine, for a runtime that is not installed here; return its path.

    Raises:
        RoadsegError: anything a user can cause; nothing is left half-written then.
    """
    with _plan(options, progress) as plan:
        onnx = _exported(plan)
        draft = described(
            plan.job,
            describe_bundle(onnx),
            plan.compiler,
            plan.spec,
            plan.candidate.weights,
        )
        bundle = write_bundle(plan.with_int8_sections(draft), onnx, plan.job.folder)
        return bundle.replace(options.output / bundle.name)


@dataclass(frozen=True)
class _Plan:
    """What is to be built, its graph ready.

    Attributes:
        candidate: the network.
        compiler: of the runtime.
        graph: in FP32, the truth that engines are held against.
        job: for the compiler; its folder is a scratch folder where the engine is published.
        prepared: how INT8 was found, where it is INT8.
        request: how INT8 was asked for.
    """

    candidate: Candidate
    compiler: Compiler
    graph: DeploymentGraph
    job: Job
    prepared: Prepared | None
    request: Request

    @property
    def spec(self) -> ModelSpec:
        return self.candidate.spec

    def with_int8_sections(self, engine: Engine) -> Engine:
        """Write down how its precision was found; the report of INT8 is put beside it."""
        warnings = (*self.candidate.warnings, *engine.manifest.warnings)
        engine = replace(engine, manifest=replace(engine.manifest, warnings=warnings))
        if self.prepared is not None:
            kept = named(self.prepared.graph.fp32, self.prepared.graph.exported)
            manifest = replace(with_int8_sections(engine, self.prepared), high_precision=kept)
            engine = replace(engine, manifest=manifest)
            write_report(engine.folder, engine.manifest, self.prepared, self.request.budget)
        elif isinstance(self.job.graph, FP16Graph):
            half = self.job.graph
            found = Parity(pixel_agreement=half.agreement, computed_by="PyTorch, on the CPU")
            accuracy: Accuracy = {**(engine.manifest.accuracy or {}), "fp16_graph": found}
            manifest = replace(
                engine.manifest, accuracy=accuracy, high_precision=named(half.kept, half.exported)
            )
            engine = replace(engine, manifest=manifest)
        return engine


@contextmanager
def _plan(options: BuildOptions, progress: Progress) -> Iterator[_Plan]:
    """Choose the network and make its graph; the scratch folder goes afterwards."""
    candidate = choose(options)
    compiler = open_compiler(options.runtime)
    precision = _precision(options.precision, compiler)
    name = engine_name(candidate, options, precision)
    targets = compiler.check_targets(options.targets, precision)
    if options.data is not None:
        open_pictures(options.data, candidate.spec.classes)  # refused now, not after the work
    with writable(options.output):
        _check_outputs(options, name, compiler, candidate)
        graph = DeploymentGraph(candidate.network, candidate.spec.input)
        with build_folder(options.output) as scratch:
            job = Job(
                graph,
                name,
                precision,
                targets,
                scratch,
                batch=options.batch,
                sizes=options.sizes,
                front_end=options.front_end or default_front_end(),
                builder=options.builder,
            )
            request = Request(
                options.calibration,
                options.data,
                options.max_miou_drop,
                compiler.unsigned,
                job.folder,
            )
            prepared = None
            if precision == "int8":
                exported = ExportedGraph(graph)
                kept = _kept_out_of_int8(compiler, exported, options)
                target = Target(candidate.spec, candidate.weights, exported, kept)
                prepared = prepare(target, request, progress)
                if compiler.strongly_typed:
                    frames = _road_frames(options, candidate.spec)
                    prepared.graph.fp32 = overflowing(target.exported.module, frames)
                job = replace(job, graph=prepared.graph, int8=prepared.graph.placement.int8)
            elif precision == "fp16" and compiler.strongly_typed:
                progress("looking for what FP16 cannot hold", 0.0)
                frames = _road_frames(options, candidate.spec)
                job = replace(job, graph=to_fp16(ExportedGraph(graph), frames))
            yield _Plan(candidate, compiler, graph, job, prepared, request)


def _kept_out_of_int8(
    compiler: Compiler, exported: ExportedGraph, options: BuildOptions
) -> dict[str, str]:
    """Return convolutions that the runtime or the user keeps in floating point -> why."""
    placement = exported.placement()
    names = [convolution.name for convolution in placement.convolutions]
    asked = named_layers(options.high_precision, names)
    return {**compiler.kept_out_of_int8(placement), **dict.fromkeys(asked, "asked for")}


def _check_outputs(
    options: BuildOptions, name: str, compiler: Compiler, candidate: Candidate
) -> None:
    """Refuse what would be replaced and must not be, before any work is done."""
    weights = candidate.weights
    origin = Origin(weights, candidate.spec.classes.names)
    check_replaceable(options.output, name, compiler.suffixes, options.force, origin)
    if options.bundle:
        check_bundle(options.output, name, options.force, origin)


def _exported(plan: _Plan) -> Path:
    """Return the ONNX file of the job; the compiler may have left one."""
    onnx = plan.job.folder / "graph.onnx"
    if not onnx.exists():
        plan.compiler.export(plan.job, onnx)
    return onnx


def _road_frames(options: BuildOptions, spec: ModelSpec) -> list[Frames]:
    """Return frames of the data where there are any, else drawn ones; (1, H, W, 3) each."""
    if options.data is None:
        size = (spec.input.width, spec.input.height)
        return [drawn_frame(*size, index) for index in PARITY_FRAMES]
    found = open_pictures(options.data, spec.classes, TRIED_FRAMES)
    return [one.image[None] for one in found.pictures]


def engine_name(candidate: Candidate, options: BuildOptions, precision: str) -> str:
    """Return the stem of an engine's files; what is not as registered is named."""
    suffix = candidate.suffix
    if options.batch != (1, 1, 1):
        suffix += f"-batch{options.batch[0]}to{options.batch[2]}"
    return f"{options.name or candidate.spec.name}-{options.runtime}-{precision}{suffix}"


def _precision(asked: str | None, compiler: Compiler) -> str:
    precision = asked or compiler.default_precision()
    if precision not in compiler.precisions:
        raise BuildError(
            f"--precision {precision} was given, {compiler.runtime} builds "
            f"{', '.join(compiler.precisions)}; choose one of these"
        )
    return precision
