"""Engines for the gate, built once per state of the sources."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from models.atomic import sha256_of
from pipeline.build.build import build
from pipeline.build.options import BuildOptions
from pipeline.engine.manifest import Engine, load_engine
from pipeline.progress import Progress

_ROOT = Path(__file__).parents[2]
#: What an engine depends on: networks and their weights, calibration, compilers and what leads to
#: them. Streams, sources, sinks and pages change no engine.
_FILES = (
    "constraints.txt",
    "models/**/*.py",
    "models/trained/*.safetensors",
    "models/trained/*.json",
    "calibration/**/*.py",
    "pipeline/*.py",
    "pipeline/build/*.py",
    "pipeline/engine/*.py",
    "pipeline/graph/**/*.py",
    "pipeline/quantization/*.py",
    "pipeline/runtimes/**/*.py",
)


def gate_engines(
    names: Iterable[str], runtime: str, precision: str, folder: Path, step: Progress
) -> list[Engine]:
    """Build engines of the registered weights, or take those that the same sources built before.

    Args:
        names: networks.
        runtime: of all of them.
        precision: likewise.
        folder: where engines are kept, one folder in it per state of the sources.
        step: told what is done.
    """
    kept = folder / _state()
    engines = []
    for name in names:
        stem = f"{name}-{runtime}-{precision}"
        if (kept / f"{stem}.json").exists():
            engines.append(load_engine(kept / f"{stem}.json"))
            continue
        step(f"building {name} in {precision}", 0.0)
        options = BuildOptions(name, runtime=runtime, precision=precision, output=kept)
        engines.append(build(options, lambda what, share: None))
    return engines


def _state() -> str:
    digest = sha256()
    for pattern in _FILES:
        for path in sorted(_ROOT.glob(pattern)):
            digest.update(f"{path.relative_to(_ROOT)} {sha256_of(path)}\n".encode())
    return digest.hexdigest()[:16]
