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


def session_class(runtime: str) -> Callable[[Engine], Session]:
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
        kind: Callable[[Engine], Session] = getattr(import_module(module), name)
    except ImportError as error:
        raise RuntimeMissingError(
            f"{runtime} engines need the package {package}, which cannot be imported here "
            f"({error}); run: .venv/bin/pip install -c constraints.txt {package}"
        ) from error
    return kind


def open_engine(path: Path) -> tuple[Engine, Session]:
    """Verify the engine at ``path`` and load it.

    Raises:
        EngineError: missing, damaged, or refused by its runtime.
        RuntimeMissingError: this machine cannot run it.
    """
    engine = load_engine(path)
    return engine, open_session(engine)


def open_session(engine: Engine) -> Session:
    """Load ``engine`` with the runtime that its manifest names."""
    return session_class(engine.manifest.runtime)(engine)
