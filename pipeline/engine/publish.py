"""The last step of a build: an engine and all that belongs to it, moved to where users find it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.engine.manifest import Engine, write_manifest
from pipeline.errors import OutputError


def publish(engine: Engine, output: Path) -> Engine:
    """Move an engine, and what its build left beside it, to ``output``; the manifest comes last.

    Everything called ``NAME.*`` in the engine's folder belongs to it.
    """
    manifest = engine.manifest
    for path in sorted(engine.folder.glob(f"{manifest.name}.*")):
        target = output / path.name
        if target.is_dir():
            shutil.rmtree(target)
        if path.name != f"{manifest.name}.json":
            os.replace(path, target)
    write_manifest(output, manifest)
    return Engine(manifest, output)


@contextmanager
def writable(folder: Path) -> Iterator[None]:
    """Make the output folder, and turn every failure to write there into one line."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise OutputError(
            f"cannot write the engine to {folder} ({error.strerror or error}); free some space "
            "there or choose another folder with --output"
        ) from error
