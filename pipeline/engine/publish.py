"""The last step of a build: the engine and its other files are moved to the output folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from models.lock import WriteLock
from models.scratch import scratch_folder
from pipeline.engine.manifest import Engine, write_manifest
from pipeline.errors import OutputError

#: Folder beside a new engine's files, for those of the old engine while it is replaced.
_REPLACED = "replaced"


def publish(engine: Engine, output: Path) -> Engine:
    """Move an engine, and everything called ``NAME.*`` in its folder, to ``output``.

    The manifest of an engine that is replaced is moved away first and the new one is written last,
    so that no manifest is ever beside another engine's files. When a step fails, the old engine is
    put back.

    Args:
        engine: in a folder of its own, on the same file system as ``output``.
        output: folder for the engine.
    """
    manifest = engine.manifest
    last = f"{manifest.name}.json"
    names = [path.name for path in sorted(engine.folder.glob(f"{manifest.name}.*"))]
    names = [name for name in names if name != last]
    replaced = engine.folder / _REPLACED / manifest.name
    replaced.mkdir(parents=True)
    moved = []
    lock = WriteLock(output / f".{manifest.name}.lock", f"engine {output / manifest.name}")
    try:
        for name in (last, *names):
            _move(output / name, replaced / name)
        for name in names:
            _move(engine.folder / name, output / name)
            moved.append(name)
        write_manifest(output, manifest)
    except BaseException:
        for name in moved:
            _move(output / name, engine.folder / name)
        restore(engine.folder, output)
        raise
    finally:
        lock.release()
    shutil.rmtree(replaced)
    return Engine(manifest, output)


def restore(scratch: Path, output: Path) -> None:
    """Put the engine back into ``output`` that a killed :func:`publish` had begun to replace."""
    for replaced in scratch.glob(f"**/{_REPLACED}/*"):  # --precision auto has folders in its own
        last = f"{replaced.name}.json"
        if not (output / last).exists():  # else the new engine is complete
            names = [path.name for path in replaced.iterdir() if path.name != last]
            for name in (*names, last):
                _move(replaced / name, output / name)


def _move(path: Path, target: Path) -> None:
    """Move a file or a folder, over what is there."""
    if target.is_dir():
        shutil.rmtree(target)
    with suppress(FileNotFoundError):
        os.replace(path, target)


@contextmanager
def build_folder(output: Path) -> Iterator[Path]:
    """Make a folder to build in, in ``output``, after clearing what killed builds left there."""
    with scratch_folder(".build-", output, save=lambda left: restore(left, output)) as folder:
        yield folder


@contextmanager
def writable(folder: Path) -> Iterator[None]:
    """Make the output folder, and turn OSErrors of the block into one line."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise OutputError(
            f"cannot write the engine to {folder} ({error.strerror or error}); free some space "
            "there or choose another folder with --output"
        ) from error
