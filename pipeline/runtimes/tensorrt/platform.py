"""What TensorRT engines need to run: TensorRT and a GPU."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from models.install import install_pycuda
from pipeline.errors import RuntimeMissingError
from pipeline.runtimes.tensorrt.cuda.gpu import Gpu
from pipeline.runtimes.tensorrt.cuda.presence import why_no_gpu


@dataclass(frozen=True)
class Platform:
    """Attributes: ``trt``, the module ``tensorrt`` or ``tensorrt_rtx``; the ``gpu``."""

    trt: Any
    gpu: Gpu


def open_platform(runtime: str) -> Platform:
    """Import TensorRT and open the GPU.

    Raises:
        RuntimeMissingError: a package, the driver or the GPU is missing.
    """
    if reason := why_no_gpu():
        raise RuntimeMissingError(
            f"{runtime} engines need an NVIDIA GPU: {reason}; build for this machine with "
            "--runtime openvino"
        )
    try:
        trt = import_module(runtime.replace("-", "_"))
        driver = import_module("pipeline.runtimes.tensorrt.cuda.driver")
    except ImportError as error:
        raise RuntimeMissingError(
            f"{runtime} engines need TensorRT and pycuda, one of which cannot be imported here "
            f"({error}); run: {install_pycuda()}, and what 'roadseg doctor' prints for this GPU"
        ) from error
    return Platform(trt, driver.open_gpu())
