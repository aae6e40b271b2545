"""TensorRT for RTX engines through the ONNX parser, built ahead of time for named GPUs.

TensorRT for RTX builds on machines without a GPU when the compute capabilities are named, so one
engine file can be made in CI for Turing to Blackwell. The network is strongly typed: precisions
are those of the graph, and nothing is lowered behind anybody's back.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorrt_rtx as trt
import torch

from pipeline.compilers.base import Compiled, Compiler, Job, Progress
from pipeline.compilers.onnx_export import INPUT, export_onnx
from pipeline.deploy import FRAME_SIZES, DeploymentGraph
from pipeline.engine import LayerPrecisions
from pipeline.errors import BuildError

#: Architectures that this TensorRT for RTX can target, ``sm75`` to ``sm121``.
TARGETS = {
    name.lower(): capability
    for name, capability in trt.ComputeCapability.__members__.items()
    if name.startswith("SM")
}

#: Frame size that the engine is tuned for; every size in ``FRAME_SIZES`` works.
TUNED_FRAME = (720, 1280)

_PRECISIONS = {
    trt.DataType.FLOAT: "fp32",
    trt.DataType.HALF: "fp16",
    trt.DataType.BF16: "bf16",
    trt.DataType.INT8: "int8",
}


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
            (
                "built without running it: no GPU took part, so latency and accuracy on the "
                "targets were not measured",
            ),
        )


def _typed(job: Job) -> DeploymentGraph:
    """Put the graph into the precision that the strongly typed network shall have."""
    return job.graph.with_dtype(torch.float16) if job.precision == "fp16" else job.graph


def parse_network(builder: Any, onnx: Path, logger: CollectingLogger) -> Any:
    """Read an ONNX file into a strongly typed network.

    Raises:
        BuildError: the parser refuses it; its own first reason is quoted.
    """
    flags = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(flags)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(onnx)):
        reasons = [parser.get_error(i).desc() for i in range(parser.num_errors)]
        raise BuildError(
            f"TensorRT's ONNX parser refused the network ({'; '.join(reasons[:2])}); rewrite the "
            "operation that it names"
        )
    return network


def planned_convolutions(network: Any) -> LayerPrecisions:
    """List the convolutions of a strongly typed network with the type that each computes in."""
    kinds = {trt.LayerType.CONVOLUTION, trt.LayerType.DECONVOLUTION}
    layers = (network.get_layer(i) for i in range(network.num_layers))
    return LayerPrecisions(
        "network",
        {
            layer.name: _PRECISIONS.get(layer.get_output(0).dtype, str(layer.get_output(0).dtype))
            for layer in layers
            if layer.type in kinds
        },
    )


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


class CollectingLogger(trt.ILogger):  # type: ignore[misc]  # the bindings carry no types
    """Keeps TensorRT's errors for our own message instead of printing them."""

    def __init__(self) -> None:
        trt.ILogger.__init__(self)  # a pybind11 trampoline crashes without
        self.errors: list[str] = []

    def log(self, severity: Any, message: str) -> None:
        """Receive one line from TensorRT."""
        if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
            self.errors.append(message)

    def last_error(self) -> str:
        """Return the newest error in one line."""
        return self.errors[-1].strip().splitlines()[0] if self.errors else "no reason given"


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
