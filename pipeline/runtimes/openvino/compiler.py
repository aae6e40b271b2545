"""OpenVINO engines: the CPU default, which runs wherever there is no NVIDIA GPU."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import BuildError
from pipeline.progress import Progress
from pipeline.runtimes.compiler import Compiled, Compiler, Job
from pipeline.runtimes.export import export_job
from pipeline.runtimes.openvino.core import compile_for_cpu, computes, executed_convolutions, ov
from pipeline.runtimes.openvino.rewrites import rewrite

if TYPE_CHECKING:
    from calibration.quantizer.placement import Placement


class OpenVINOCompiler(Compiler):
    """Writes OpenVINO IR (``.xml`` + ``.bin``) from the ONNX export."""

    runtime = "openvino"
    suffixes = (".xml", ".bin")
    precisions = ("fp32", "fp16", "bf16", "int8")
    unsigned = True

    def default_precision(self) -> str:
        # Native FP16 exists on few CPUs, and where it does it was not faster than FP32 in our
        # measurements (docs/decisions/003); FP32 gives the same results everywhere.
        return "fp32"

    def computed(self) -> tuple[str, ...]:
        return tuple(precision for precision in self.precisions if computes(precision))

    def check_targets(self, targets: tuple[str, ...], precision: str) -> tuple[str, ...]:
        if targets:
            raise BuildError(
                f"--target {','.join(targets)} was given with --runtime openvino, which builds for "
                "any CPU; drop --target or choose --runtime tensorrt-rtx"
            )
        return ()

    def kept_out_of_int8(self, placement: Placement) -> Mapping[str, str]:
        # With the classifier in INT8 segnet_lite takes 0.87 of the time at the same accuracy
        # (docs/performance.md): the convolution still outputs scores in FP32.
        return {}

    def export(self, job: Job, path: Path) -> None:
        # OpenVINO converts precisions itself: the file is always FP32.
        export_job(job, "fp32", path)

    def compile(self, job: Job, progress: Progress) -> Compiled:
        onnx = job.folder / "graph.onnx"
        if isinstance(job.graph, Path):
            onnx = job.graph
        else:
            progress("exporting to ONNX", 0.0)
            self.export(job, onnx)
        progress("converting to OpenVINO", 0.6)
        xml = _save_ir(onnx, job)
        progress("reading the engine back", 0.8)
        convolutions = executed_convolutions(compile_for_cpu(xml, job.precision))
        progress("compiled", 1.0)
        warnings = _substitutions(job.precision)
        return Compiled(
            (xml, xml.with_suffix(".bin")), convolutions, str(ov.get_version()), warnings
        )


def _substitutions(precision: str) -> tuple[str, ...]:
    """Say what this CPU computes instead of a precision that it does not have."""
    if precision in {"fp16", "bf16"} and not computes(precision):
        stored = "stored in FP16 and " if precision == "fp16" else ""
        return (
            f"{precision.upper()} was asked for, but this CPU has no {precision.upper()} "
            f"arithmetic: weights are {stored}computed in FP32",
        )
    return ()


def _save_ir(onnx: Path, job: Job) -> Path:
    xml = job.folder / f"{job.name}.xml"
    try:
        model = ov.Core().read_model(onnx)
        rewrite(ov, model)
        ov.save_model(model, xml, compress_to_fp16=job.precision == "fp16")
    except RuntimeError as error:
        raise BuildError(
            f"OpenVINO {ov.get_version()} refused the network "
            f"({str(error).strip().splitlines()[-1]}); rewrite the operation that it names"
        ) from error
    return xml
