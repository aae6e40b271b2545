"""The second step of a build: the network's graph, quantised or rounded for its compiler."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.build.resolve import Plan
from pipeline.engine.manifest import Engine
from pipeline.engine.records import Accuracy, Parity
from pipeline.evaluation.pictures import drawn_frames, open_pictures
from pipeline.graph.deployment import DeploymentGraph
from pipeline.graph.exported import ExportedGraph
from pipeline.graph.fp16 import FP16Graph, to_fp16
from pipeline.graph.qdq import QDQGraph
from pipeline.progress import Progress
from pipeline.quantization.calibrate import Target
from pipeline.quantization.report.manifest_section import with_int8_sections
from pipeline.quantization.report.page import write_report
from pipeline.quantization.search import Prepared, prepare
from pipeline.runtimes.compiler import Job
from pipeline.runtimes.high_precision import ASKED, named_layers
from pipeline.runtimes.session import Frames

#: Pictures of ``--data`` on which the graph is searched for values that FP16 cannot hold.
_TRIED_FRAMES = 4


@dataclass(frozen=True)
class Lowered:
    """A graph that is ready to be compiled.

    Attributes:
        reference: the graph in FP32, which engines are compared with.
        half: the FP16 graph, which keeps some operations in FP32; None where the compiler decides.
        prepared: the quantised graph and how it was found; None for other precisions.
    """

    reference: DeploymentGraph
    half: FP16Graph | None = None
    prepared: Prepared | None = None

    def job(self, plan: Plan, folder: Path) -> Job:
        graph: DeploymentGraph | FP16Graph | QDQGraph = self.half or self.reference
        int8: tuple[str, ...] = ()
        if self.prepared is not None:
            graph = self.prepared.graph
            int8 = graph.placement.int8
        return Job(graph, plan.name, plan.precision, plan.options, folder, int8)

    def described(self, engine: Engine, plan: Plan) -> Engine:
        """Record in the manifest how the precision was found; write INT8's report beside it."""
        manifest = engine.manifest
        warnings = (*plan.network.warnings, *manifest.warnings)
        kept = {} if self.half is None else self.half.named
        manifest = replace(manifest, warnings=warnings, high_precision=kept)
        if self.prepared is not None:
            manifest = with_int8_sections(replace(engine, manifest=manifest), self.prepared)
            write_report(engine.folder, manifest, self.prepared, plan.options.budget)
        elif self.half is not None:
            assert self.half.agreement is not None
            found = Parity(pixel_agreement=self.half.agreement, computed_by="PyTorch, on the CPU")
            accuracy: Accuracy = {**(manifest.accuracy or {}), "fp16_graph": found}
            manifest = replace(manifest, accuracy=accuracy)
        return replace(engine, manifest=manifest)


def lower(plan: Plan, folder: Path, progress: Progress) -> Lowered:
    """Export the network and, where it is INT8, quantise it.

    The accuracy gate builds its engines in ``folder``.

    Raises:
        CalibrationError: there are no ranges.
        AccuracyError: INT8 loses more than it may.
        BuildError: the network cannot be exported, or lacks a layer that the user named.
    """
    reference = DeploymentGraph(plan.network.network, plan.spec.input)
    compiler, int8 = plan.compiler, plan.precision == "int8"
    typed = compiler.strongly_typed and plan.precision in {"fp16", "int8"}
    if not (typed or int8):
        return Lowered(reference)
    exported = ExportedGraph(reference)
    kept = _kept_out_of_int8(plan, exported) if int8 else {}
    half = None
    if typed:
        progress("searching for values beyond FP16", 0.0)
        half = to_fp16(exported, _road_frames(plan), judged=not int8)
    if not int8:
        return Lowered(reference, half)
    fp32 = {} if half is None else half.kept
    target = Target(plan.spec, plan.weights, exported, kept, fp32)
    prepared = prepare(target, plan.options, compiler.unsigned, folder, progress)
    return Lowered(reference, half, prepared)


def _kept_out_of_int8(plan: Plan, exported: ExportedGraph) -> dict[str, str]:
    """Return convolutions that the runtime or the user keeps in floating point -> why."""
    placement = exported.placement()
    names = [convolution.name for convolution in placement.convolutions]
    asked = named_layers(plan.options.high_precision, names)
    return {**plan.compiler.kept_out_of_int8(placement), **dict.fromkeys(asked, ASKED)}


def _road_frames(plan: Plan) -> list[Frames]:
    """Return pictures of ``--data``, else drawn ones; (1, H, W, 3) each."""
    if plan.options.data is None:
        return drawn_frames(plan.spec.input)
    found = open_pictures(plan.options.data, plan.spec.classes, _TRIED_FRAMES)
    return [one.image[None] for one in found.pictures]
