"""Runtimes by name: their compilers, which build engines, and their sessions, which run them.

A new runtime is one folder with a compiler and a session, and one line in each table.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from models.install import install_package
from pipeline.engine.manifest import Engine, load_engine
from pipeline.errors import RuntimeMissingError
from pipeline.runtimes.tensorrt.cuda.presence import why_no_gpu

if TYPE_CHECKING:  # imports NumPy, which --help does not need
    from pipeline.runtimes.compiler import Compiler
    from pipeline.runtimes.session import Session

#: runtime -> (module:class, what to install where it is missing).
COMPILERS = {
    "openvino": ("pipeline.runtimes.openvino.compiler:OpenVINOCompiler", "openvino"),
    "tensorrt": ("pipeline.runtimes.tensorrt.classic:TensorRTClassicCompiler", "tensorrt"),
    "tensorrt-rtx": ("pipeline.runtimes.tensorrt.rtx:TensorRTRTXCompiler", "tensorrt-rtx-cu13"),
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
    compiler: Compiler = _imported(*COMPILERS[runtime], f"--runtime {runtime} needs")()
    return compiler


def _imported(location: str, package: str, needing: str) -> Any:
    try:
        return resolve_name(location)
    except ImportError as error:
        raise RuntimeMissingError(
            f"{needing} the package {package}, which cannot be imported here ({error}); run: "
            f"{install_package(package)}"
        ) from error


def require_builder(runtime: str) -> None:
    """Check that the package for engines of ``runtime`` is installed, without importing it.

    Raises:
        RuntimeMissingError: unknown, or it is not installed.
    """
    if runtime not in COMPILERS:
        open_compiler(runtime)
    module, package = runtime.replace("-", "_"), COMPILERS[runtime][1]
    if module not in sys.modules and find_spec(module) is None:
        raise RuntimeMissingError(
            f"--runtime {runtime} needs the package {package}, which is not installed here; "
            "install it ('roadseg doctor' says how), or add --bundle to build the engine elsewhere"
        )


def can_build(runtime: str) -> bool:
    """Whether engines of ``runtime`` can be built here; bundles for it can in any case."""
    try:
        open_compiler(runtime).require()
    except RuntimeMissingError:
        return False
    return True


#: Runtimes on which INT8 was measured -> module with the function that says where it is faster.
_INT8_PAYS = {"openvino": "pipeline.runtimes.openvino.instructions"}


def why_int8_does_not_pay(runtime: str) -> str | None:
    """Say why INT8 is not known to be the fastest precision of ``runtime`` here; None if it is."""
    if runtime not in _INT8_PAYS:
        return f"its speed was not measured on {runtime} yet"
    reason: str | None = import_module(_INT8_PAYS[runtime]).why_int8_does_not_pay()
    return reason


def default_front_end() -> str:
    """Return how TensorRT gets networks here: by torch-tensorrt of a known version, else ONNX."""
    # Imports torch.
    from pipeline.runtimes.tensorrt.torch_tensorrt_target import installed_version

    return "torch-tensorrt" if installed_version() else "onnx"


#: runtime of a manifest -> (module:class taking an Engine, what to install where it is missing).
SESSIONS = {
    "openvino": ("pipeline.runtimes.openvino.session:OpenVINOSession", "openvino"),
    "tensorrt": ("pipeline.runtimes.tensorrt.session:TensorRTSession", "pycuda"),
    "tensorrt-rtx": ("pipeline.runtimes.tensorrt.session:TensorRTSession", "pycuda"),
}


#: Runtimes that compile an engine when it is loaded, and so take hints and a cache. The others'
#: engines were compiled at build; they take several frames at once as a batch.
COMPILED_AT_START = ("openvino",)


def session_class(runtime: str) -> Callable[..., Session]:
    """Return the session that runs engines of ``runtime``.

    Raises:
        RuntimeMissingError: there is none, or its package is not installed.
    """
    if runtime not in SESSIONS:
        raise RuntimeMissingError(
            f"{runtime} engines cannot be run by this version, which runs "
            f"{', '.join(SESSIONS)}; build with --runtime {next(iter(SESSIONS))}"
        )
    kind: Callable[..., Session] = _imported(*SESSIONS[runtime], f"{runtime} engines need")
    return kind


def open_engine(
    path: Path, hint: str = "latency", cache: Path | None = None, measuring: bool = False
) -> tuple[Engine, Session]:
    """Verify the engine at ``path`` and load it; the rest is as for :func:`open_session`.

    Raises:
        EngineError: missing, damaged, or refused by its runtime.
        RuntimeMissingError: this machine cannot run it.
    """
    engine = load_engine(path)
    return engine, open_session(engine, hint, cache, measuring=measuring)


def open_session(
    engine: Engine,
    hint: str = "latency",
    cache: Path | None = None,
    threads: int = 0,
    measuring: bool = False,
) -> Session:
    """Load ``engine`` with the runtime that its manifest names.

    Args:
        engine: verified.
        hint: ``latency`` of single frames, or ``throughput``: several frames of a file at once,
            where the runtime can.
        cache: folder for what the runtime compiles, so that the next start is faster.
        threads: of a runtime that computes on the processor; 0 for its choice.
        measuring: runs are timed, so nothing may be compiled at the same time.
    """
    kind = session_class(engine.manifest.runtime)
    if engine.manifest.runtime in COMPILED_AT_START:
        return kind(engine, threads, hint=hint, cache=cache)
    return kind(engine, eager=measuring)


def missing(runtime: str) -> str | None:
    """Say why engines of ``runtime`` cannot run here; None where they can."""
    if runtime not in SESSIONS:
        return f"this version runs engines of {', '.join(SESSIONS)}"
    needed = {runtime.replace("-", "_"): runtime.replace("-", "_")}
    if runtime.startswith("tensorrt"):
        if reason := why_no_gpu():
            return reason
        needed["pipeline.runtimes.tensorrt.cuda.driver"] = "pycuda"
    for module, package in needed.items():
        # Imported, not only found: an installed package may still lack a system library.
        try:
            import_module(module)
        except (ImportError, OSError) as error:
            return f"the package {package} cannot be imported ({' '.join(str(error).split())})"
    return None
