"""TensorRT engines for the GPU of this machine: Jetson, data centre, and desktop GPUs.

Builds where ``tensorrt`` is installed (it comes with JetPack, or from NVIDIA's package index) and a
GPU is present; elsewhere it exports what a bundle needs.
"""

from __future__ import annotations

from types import ModuleType

from pipeline.compilers.base import Job
from pipeline.compilers.tensorrt_compiler import TensorRTCompiler
from pipeline.errors import BuildError, RuntimeMissingError


class TensorRTClassicCompiler(TensorRTCompiler):
    """Writes one ``.engine`` for the GPU at hand."""

    runtime = "tensorrt"

    @property
    def trt(self) -> ModuleType:
        try:
            import tensorrt
        except ImportError as error:
            raise RuntimeMissingError(
                f"--runtime tensorrt needs TensorRT, which cannot be imported here ({error}); "
                "install it (docs/jetson.md), or add --bundle to build the engine elsewhere"
            ) from error
        module: ModuleType = tensorrt
        return module

    def check_targets(self, targets: tuple[str, ...]) -> tuple[str, ...]:
        if targets:
            raise BuildError(
                f"--target {','.join(targets)} was given with --runtime tensorrt, which builds for "
                "the GPU of this machine; drop --target, or choose --runtime tensorrt-rtx"
            )
        return ()

    def warnings(self, job: Job) -> tuple[str, ...]:
        return ()
