"""TensorRT engines for the GPU of this machine: Jetson, data centre, and desktop GPUs.

It builds where ``tensorrt`` is installed (with JetPack, or from NVIDIA's package index) and a GPU
is present; elsewhere it only exports bundles.
"""

from __future__ import annotations

from types import ModuleType

from models.install import install_pycuda
from pipeline.engine.compatibility import GpuInfo
from pipeline.errors import BuildError, RuntimeMissingError
from pipeline.runtimes.tensorrt.compiler import TensorRTCompiler
from pipeline.runtimes.tensorrt.cuda.presence import why_no_gpu


class TensorRTClassicCompiler(TensorRTCompiler):
    """Writes one ``.engine`` for the GPU of this machine."""

    runtime = "tensorrt"

    @property
    def trt(self) -> ModuleType:
        try:
            import tensorrt
        except ImportError as error:
            raise RuntimeMissingError(
                f"--runtime tensorrt needs TensorRT, which cannot be imported here ({error}); "
                "'roadseg doctor' prints how to install it (docs/jetson.md), or add "
                "--bundle to build the engine elsewhere"
            ) from error
        module: ModuleType = tensorrt
        return module

    def check_targets(self, targets: tuple[str, ...], precision: str) -> tuple[str, ...]:
        if targets:
            raise BuildError(
                f"--target {','.join(targets)} was given with --runtime tensorrt, which builds for "
                "the GPU of this machine; drop --target, or choose --runtime tensorrt-rtx"
            )
        gpu = self._gpu()
        return () if gpu is None else (gpu.architecture,)

    def machine(self) -> dict[str, str]:
        gpu = self._gpu()
        known = super().machine()
        if gpu is None:
            return known
        return {**known, "gpu": gpu.name, "driver": "CUDA {}.{}".format(*gpu.cuda)}

    def _gpu(self) -> GpuInfo | None:
        """Return the GPU that engines are built for; None where only bundles can be made."""
        if why_no_gpu() is not None:
            return None
        try:
            from pipeline.runtimes.tensorrt.cuda.driver import open_gpu
        except ImportError as error:
            raise RuntimeMissingError(
                f"--runtime tensorrt needs pycuda to know its GPU, which cannot be imported here "
                f"({error}); run: {install_pycuda()}; on a Jetson scripts/jetson/setup.sh"
            ) from error
        return open_gpu().info
