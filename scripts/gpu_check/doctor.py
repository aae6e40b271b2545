"""The machine according to ``doctor``, if it runs, the driver and PyTorch."""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import asdict
from importlib import metadata
from typing import Any

from pipeline.runtimes.tensorrt.cuda.presence import why_no_gpu

_PACKAGES = ("torch", "triton", "numpy", "opencv-python-headless", "opencv-python", "pycuda")
_MORE = ("onnx", "onnxruntime", "onnxscript", "tensorrt", "nvidia-cuda-nvrtc", "pytest")


def measure(write: Callable[..., None], scale: float) -> None:
    """Report versions, GPU and driver, then the output of ``doctor``."""
    write(
        python=platform.python_version(),
        system=platform.platform(),
        packages={name: _version(name) for name in (*_PACKAGES, *_MORE)},
        nvidia_smi=_said("nvidia-smi", "--query-gpu=name,driver_version,memory.total,compute_cap"),
        nvcc=_said("nvcc", "--version"),
        no_gpu=why_no_gpu(),
    )
    from pipeline.runtimes.tensorrt.cuda import nvrtc

    write(nvrtc=nvrtc.version(), nvrtc_architectures=nvrtc.architectures())
    try:
        from pipeline.cli.doctor import examine
    except ImportError as error:  # like the camera path it needs PyAV, which may be missing
        write(doctor=f"does not run here: {error}")
    else:
        write(doctor=asdict(examine()))


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _said(*command: str) -> Any:
    if shutil.which(command[0]) is None:
        return None
    extra = ["--format=csv,noheader"] if command[0] == "nvidia-smi" else []
    done = subprocess.run([*command, *extra], capture_output=True, text=True, timeout=30)
    return done.stdout.strip().splitlines()
