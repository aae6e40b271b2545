"""Sessions by runtime: adding one is one new file and one line in this table."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from pipeline.engine import Engine, load_engine
from pipeline.errors import RuntimeMissingError
from pipeline.sessions.base import Session

#: runtime of a manifest -> (module:class taking an Engine, what to install where it is missing).
SESSIONS = {
    "openvino": ("pipeline.sessions.openvino:OpenVINOSession", "openvino"),
}


#: Runtimes whose sessions have a mode for many frames at once; elsewhere the batch that the engine
#: was built for is that mode.
THROUGHPUT = ("openvino",)


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


def open_engine(path: Path, hint: str = "latency") -> tuple[Engine, Session]:
    """Verify the engine at ``path`` and load it; ``hint`` as in :func:`open_session`.

    Raises:
        EngineError: missing, damaged, or refused by its runtime.
        RuntimeMissingError: this machine cannot run it.
    """
    engine = load_engine(path)
    return engine, open_session(engine, hint)


def open_session(engine: Engine, hint: str = "latency") -> Session:
    """Load ``engine`` with the runtime that its manifest names.

    Args:
        engine: verified.
        hint: ``latency`` of single frames, or ``throughput``: several frames of a file at once,
            where the runtime can.
    """
    kind = session_class(engine.manifest.runtime)
    if hint == "throughput" and engine.manifest.runtime in THROUGHPUT:
        return kind(engine, hint=hint)
    return kind(engine)


def missing(runtime: str) -> str | None:
    """Why engines of ``runtime`` cannot run here, None where they can."""
    if runtime not in SESSIONS:
        return f"this version runs engines of {', '.join(SESSIONS)}"
    return None
