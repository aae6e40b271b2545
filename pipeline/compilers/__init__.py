"""Compilers by runtime: adding one is one new file and one line in this table."""

from __future__ import annotations

from importlib import import_module

from pipeline.compilers.base import Compiler
from pipeline.errors import RuntimeMissingError

#: runtime -> (module:class, what to install where it is missing).
COMPILERS = {
    "openvino": ("pipeline.compilers.openvino:OpenVINOCompiler", "openvino"),
    "tensorrt": ("pipeline.compilers.tensorrt_classic:TensorRTClassicCompiler", "tensorrt"),
    "tensorrt-rtx": ("pipeline.compilers.tensorrt_rtx:TensorRTRTXCompiler", "tensorrt-rtx-cu13"),
}


def open_compiler(runtime: str) -> Compiler:
    """Return the compiler for ``runtime``.

    Raises:
        RuntimeMissingError: unknown, or its package is not installed.
    """
    if runtime not in COMPILERS:
        raise RuntimeMissingError(
            f"unknown runtime {runtime!r}; engines are built for {', '.join(COMPILERS)}"
        )
    location, package = COMPILERS[runtime]
    module, name = location.split(":")
    try:
        compiler: Compiler = getattr(import_module(module), name)()
    except ImportError as error:
        raise RuntimeMissingError(
            f"--runtime {runtime} needs the package {package}, which cannot be imported here "
            f"({error}); run: .venv/bin/pip install -c constraints.txt {package}"
        ) from error
    return compiler


def can_build(runtime: str) -> bool:
    """Whether engines of ``runtime`` can be built here; a bundle can be made for all of them."""
    try:
        open_compiler(runtime).require()
    except RuntimeMissingError:
        return False
    return True


def default_front_end() -> str:
    """How TensorRT gets networks here: torch-tensorrt of a version that we know, else ONNX."""
    # Imports torch, as everything that builds from networks does.
    from pipeline.compilers.torch_tensorrt_target import installed_version

    return "torch-tensorrt" if installed_version() else "onnx"
