"""Temporary folders, removed at the end or, if the process was killed, by a later one."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from models.errors import OutputError
from models.lock import WriteLock

log = logging.getLogger(__name__)

#: Held while the folder's process lives.
_LOCK = ".lock"
#: Seconds after which a folder without a lock file is removed: it is of an earlier version, or of a
#: process that was killed before it made the lock.
_NOBODYS = 24 * 3600.0


@contextmanager
def scratch_folder(
    prefix: str, parent: Path | None = None, save: Callable[[Path], None] = lambda _folder: None
) -> Iterator[Path]:
    """Make a folder that is removed at the end; first remove those of killed processes.

    Args:
        prefix: of its name; left folders with this prefix are removed.
        parent: where; the system's folder for temporary files by default.
        save: called with a left folder before it is removed, to keep what is worth it.
    """
    parent = Path(tempfile.gettempdir()) if parent is None else parent
    _sweep(prefix, parent, save)
    folder = parent / f"{prefix}{secrets.token_hex(8)}"
    try:  # before the folder exists, since a signal may come at any moment
        folder.mkdir(mode=0o700)
        with WriteLock(folder / _LOCK, str(folder)):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(prefix: str, parent: Path, save: Callable[[Path], None]) -> None:
    """Remove folders of killed processes: those whose lock nobody holds any more."""
    for folder in parent.glob(f"{prefix}*"):
        try:
            if folder.is_symlink() or not folder.is_dir() or folder.stat().st_uid != os.getuid():
                continue
            if not (folder / _LOCK).exists() and time.time() - _changed(folder) < _NOBODYS:
                continue
            with WriteLock(folder / _LOCK, str(folder)):
                save(folder)
                shutil.rmtree(folder)
            log.info("removed %s, which a killed process left", folder)
        except OutputError:  # its process lives
            continue
        except OSError as error:  # another process sweeps, too
            log.info("%s is not removed (%s)", folder, error)


def _changed(folder: Path) -> float:
    return max(path.lstat().st_mtime for path in (folder, *folder.rglob("*")))
