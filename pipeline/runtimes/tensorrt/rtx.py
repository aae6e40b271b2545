"""TensorRT for RTX engines, built ahead of time for named GPUs.

TensorRT for RTX builds on machines without a GPU when the compute capabilities are named, so one
engine file can be made in CI for Turing to Blackwell.
"""

from __future__ import annotations

from types import ModuleType

import tensorrt_rtx as trt

from pipeline.errors import BuildError
from pipeline.progress import Progress
from pipeline.runtimes.compiler import Compiled, Job
from pipeline.runtimes.tensorrt.compiler import TensorRTCompiler

#: Architectures that this TensorRT for RTX can target, ``sm75`` to ``sm121``.
TARGETS = tuple(name.lower() for name in trt.ComputeCapability.__members__ if name.startswith("SM"))

_WEIGHT_ONLY = (
    "TensorRT for RTX computes Q/DQ convolutions in FP16: its INT8 is for weight-only matrix "
    "products; expect no speed from INT8 here, it pays on Jetson and on CPUs"
)


class TensorRTRTXCompiler(TensorRTCompiler):
    """Writes one ``.engine`` for one or several GPU architectures."""

    runtime = "tensorrt-rtx"
    ahead_of_time = True

    @property
    def trt(self) -> ModuleType:
        module: ModuleType = trt
        return module

    def check_targets(self, targets: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [target for target in targets if target not in TARGETS]
        if unknown:
            raise BuildError(
                f"unknown GPU architecture {unknown[0]!r}; TensorRT for RTX {trt.__version__} "
                f"builds for {', '.join(TARGETS)}"
            )
        return targets or TARGETS

    def compile(self, job: Job, progress: Progress) -> Compiled:
        # Measured: one convolution with INT8 input and weights is enough for it to fail.
        if job.precision == "int8" and tuple(map(int, trt.__version__.split(".")[:2])) < (1, 7):
            raise BuildError(
                f"TensorRT for RTX {trt.__version__} builds no INT8 convolutions, 1.7 does; build "
                "with --front-end onnx in the environment of scripts/environment.sh"
            )
        return super().compile(job, progress)

    def warnings(self, job: Job) -> tuple[str, ...]:
        return (_WEIGHT_ONLY,) if job.precision == "int8" else ()
