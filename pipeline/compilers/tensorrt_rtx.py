"""TensorRT for RTX engines through the ONNX parser, built ahead of time for named GPUs.

TensorRT for RTX builds on machines without a GPU when the compute capabilities are named, so one
engine file can be made in CI for Turing to Blackwell. The network is strongly typed: precisions
are those of the graph, and nothing is lowered behind anybody's back.
"""

from __future__ import annotations

from typing import Any

import tensorrt_rtx as trt
import torch
from torch import nn

from pipeline.captured import CapturedGraph
from pipeline.compilers.base import Compiled, Compiler, Job, Progress
from pipeline.compilers.onnx_export import INPUT, export_onnx
from pipeline.compilers.tensorrt_network import (
    CollectingLogger,
    parse_network,
    planned_convolutions,
)
from pipeline.deploy import FRAME_SIZES, DeploymentGraph
from pipeline.errors import BuildError

#: Architectures that this TensorRT for RTX can target, ``sm75`` to ``sm121``.
TARGETS = {
    name.lower(): capability
    for name, capability in trt.ComputeCapability.__members__.items()
    if name.startswith("SM")
}

#: Frame size that the engine is tuned for; every size in ``FRAME_SIZES`` works.
TUNED_FRAME = (720, 1280)


_NOT_RUN = (
    "built without running it: no GPU took part, so latency and accuracy on the targets were not "
    "measured"
)
_WEIGHT_ONLY = (
    "TensorRT for RTX computes Q/DQ convolutions in FP16: its INT8 is for weight-only matrix "
    "products; expect no speed from INT8 here, it pays on Jetson and on CPUs"
)


class TensorRTRTXCompiler(Compiler):
    """Writes one ``.engine`` for one or several GPU architectures."""

    runtime = "tensorrt-rtx"
    suffixes = (".engine",)

    def default_precision(self) -> str:
        return "fp16"  # every supported RTX GPU computes it

    def check_targets(self, targets: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [target for target in targets if target not in TARGETS]
        if unknown:
            raise BuildError(
                f"unknown GPU architecture {unknown[0]!r}; TensorRT for RTX {trt.__version__} "
                f"builds for {', '.join(TARGETS)}"
            )
        return targets or tuple(TARGETS)

    def compile(self, job: Job, progress: Progress) -> Compiled:
        progress("exporting to ONNX", 0.0)
        onnx = job.folder / "graph.onnx"
        export_onnx(_typed(job), onnx)
        progress("parsing", 0.3)
        logger = CollectingLogger()
        builder = trt.Builder(logger)
        network = parse_network(builder, onnx, logger)
        layers = planned_convolutions(network)
        serialized = builder.build_serialized_network(
            network, _configure(builder, job, _Monitor(progress))
        )
        if serialized is None:
            raise BuildError(
                f"TensorRT for RTX {trt.__version__} did not build the network "
                f"({logger.last_error()}); rewrite the layer that it names"
            )
        engine = job.folder / f"{job.name}.engine"
        engine.write_bytes(memoryview(serialized))
        progress("compiled", 1.0)
        return Compiled(
            (engine,),
            layers,
            str(trt.__version__),
            (_NOT_RUN, _WEIGHT_ONLY) if job.precision == "int8" else (_NOT_RUN,),
        )


def _typed(job: Job) -> nn.Module:
    """Graph in the types that it is computed in: a strongly typed network knows no others."""
    if job.precision == "fp32":
        return job.graph.with_dtype(torch.float32)
    if isinstance(job.graph, DeploymentGraph):
        return CapturedGraph(job.graph).with_dtype(torch.float16)
    return job.graph.with_dtype(torch.float16)


def _configure(builder: Any, job: Job, monitor: _Monitor) -> Any:
    config = builder.create_builder_config()
    config.num_compute_capabilities = len(job.targets)
    for i, target in enumerate(job.targets):
        config.set_compute_capability(TARGETS[target], i)
    config.progress_monitor = monitor
    profile = builder.create_optimization_profile()
    smallest, largest = FRAME_SIZES
    profile.set_shape(
        INPUT, (1, smallest, smallest, 3), (1, *TUNED_FRAME, 3), (1, largest, largest, 3)
    )
    config.add_optimization_profile(profile)
    return config


class _Monitor(trt.IProgressMonitor):  # type: ignore[misc]
    """Turns TensorRT's nested phases into one share of the whole."""

    def __init__(self, progress: Progress) -> None:
        trt.IProgressMonitor.__init__(self)
        self._progress = progress
        self._steps: dict[str, int] = {}

    def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
        """Begin a phase; only top-level ones move the bar."""
        if parent is None:
            self._steps[phase] = max(steps, 1)

    def step_complete(self, phase: str, step: int) -> bool:
        """Advance a phase; True lets TensorRT go on."""
        if phase in self._steps:
            self._progress("building", 0.4 + 0.6 * min(1.0, (step + 1) / self._steps[phase]))
        return True

    def phase_finish(self, phase: str) -> None:
        """End a phase."""
        self._steps.pop(phase, None)
