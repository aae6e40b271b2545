"""Sessions by runtime: adding one is one new file and one line in this table."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from pipeline.cuda.presence import why_no_gpu
from pipeline.engine import Engine, load_engine
from pipeline.errors import RuntimeMissingError
from pipeline.sessions.base import Session

#: runtime of a manifest -> (module:class taking an Engine, what to install where it is missing).
SESSIONS = {
    "openvino": ("pipeline.sessions.openvino:OpenVINOSession", "openvino"),
    "tensorrt": ("pipeline.sessions.tensorrt:TensorRTSession", "pycuda"),
    "tensorrt-rtx": ("pipeline.sessions.tensorrt:TensorRTSession", "pycuda"),
}


#: Runtimes that compile an engine when it is loaded, and so take hints and a cache. What others
#: load was compiled at build: a batch is their mode for many frames at once.
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
    location, package = SESSIONS[runtime]
    module, name = location.split(":")
    try:
        kind: Callable[..., Session] = getattr(import_module(module), name)
    except ImportError as error:
        raise RuntimeMissingError(
            f"{runtime} engines need the package {package}, which cannot be imported here "
            f"({error}); run: .venv/bin/pip install -c constraints.txt {package}"
        ) from error
    return kind


def open_engine(
    path: Path, hint: str = "latency", cache: Path | None = None
) -> tuple[Engine, Session]:
    """Verify the engine at ``path`` and load it; the rest is as for :func:`open_session`.

    Raises:
        EngineError: missing, damaged, or refused by its runtime.
        RuntimeMissingError: this machine cannot run it.
    """
    engine = load_engine(path)
    return engine, open_session(engine, hint, cache)


def open_session(
    engine: Engine, hint: str = "latency", cache: Path | None = None, threads: int = 0
) -> Session:
    """Load ``engine`` with the runtime that its manifest names.

    Args:
        engine: verified.
        hint: ``latency`` of single frames, or ``throughput``: several frames of a file at once,
            where the runtime can.
        cache: folder for what the runtime compiles of it, to start faster the next time.
        threads: of a runtime that computes on the processor, 0 for its choice.
    """
    kind = session_class(engine.manifest.runtime)
    if engine.manifest.runtime in COMPILED_AT_START:
        return kind(engine, threads, hint=hint, cache=cache)
    return kind(engine)


def missing(runtime: str) -> str | None:
    """Why engines of ``runtime`` cannot run here, None where they can; nothing is loaded for it."""
    if runtime not in SESSIONS:
        return f"this version runs engines of {', '.join(SESSIONS)}"
    needed = [runtime.replace("-", "_")]
    if runtime.startswith("tensorrt"):
        if reason := why_no_gpu():
            return reason
        needed.append("pycuda")
    absent = [package for package in needed if find_spec(package) is None]
    return f"the package {' and '.join(absent)} is not installed" if absent else None
