"""Output files: only files written by roadseg are replaced, and a file has one writer."""

from __future__ import annotations

import errno
import itertools
import os
from contextlib import AbstractContextManager
from pathlib import Path

from models.lock import WriteLock
from pipeline.errors import OutputError, unwritable

#: Written into every output file, so that a later run recognises it.
MARK = "made by roadseg"

#: Bytes at the head and tail of a file that are searched for the mark.
_MARK_WITHIN = 1 << 16


class OutputFile:
    """A file that is written under a partial name and renamed when it is complete.

    A killed process leaves its ``NAME.partial.SUFFIX``. The next run keeps that file and writes to
    ``NAME.partial-2.SUFFIX``.

    Args:
        path: final name.
        force: replace a file that is not ours.

    Attributes:
        partial: name to write to; created here as an empty file.

    Raises:
        OutputError: a file that is not ours has the name, another process writes it, or the folder
            cannot be written.
    """

    def __init__(self, path: Path, force: bool) -> None:
        self.path = path
        self._force = force
        self._ended = False
        if path.is_dir():
            raise OutputError(f"{path} is a directory; give the name of a file in it")
        if not self._is_free():
            raise OutputError(
                f"{path} exists and was not written by roadseg; choose another name, "
                "or replace it with --force"
            )
        with may_be_refused(path):
            self._lock = lock_of(path)
            self.partial = self._created()

    def commit(self) -> None:
        """Rename the finished file.

        Raises:
            FileExistsError: meanwhile a file that is not ours has the name; both stay.
        """
        if not self._is_free():
            self.leave()
            raise FileExistsError(
                errno.EEXIST,
                f"another file was put there meanwhile, the new one is {self.partial.name}",
            )
        self._move()

    def keep(self) -> Path:
        """Keep a file that was cut short; an earlier complete file of its name is not replaced.

        Returns:
            Its name: the final one, or the partial one beside an earlier file.
        """
        if self.path.exists() or self.path.is_symlink():
            self.leave()
            return self.partial
        self._move()
        return self.path

    def discard(self) -> None:
        """Remove the partial file, unless it was renamed or left before."""
        if not self._ended:
            self.partial.unlink(missing_ok=True)
        self.leave()

    def leave(self) -> None:
        """Keep the file under its partial name."""
        self._ended = True
        self._lock.release()

    def _move(self) -> None:
        os.replace(self.partial, self.path)
        self.leave()

    def _is_free(self) -> bool:
        return self._force or not self.path.exists() or is_ours(self.path)

    def _created(self) -> Path:
        """Create a file of a new name: one of a user, or of a killed run, stays."""
        try:
            for number in itertools.count(1):
                partial = partial_of(self.path, number)
                try:
                    partial.open("xb").close()
                except FileExistsError:
                    continue
                break
        except BaseException:
            self._lock.release()
            raise
        return partial


def partial_of(path: Path, number: int = 1) -> Path:
    """Return the name of an output while it is written, or its ``number``-th such name."""
    mark = "partial" if number == 1 else f"partial-{number}"
    return path.with_name(f"{path.stem}.{mark}{path.suffix}")


def may_be_refused(path: Path) -> AbstractContextManager[None]:
    """Translate the system's refusal to write ``path`` into an ``OutputError``."""
    return unwritable(path, "choose a folder that you may write to")


def lock_of(path: Path) -> WriteLock:
    """Make the folder of an output file, and lock the file.

    Raises:
        OutputError: another process writes it.
        OSError: the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    place = path.parent.resolve() / path.name
    return WriteLock(place.with_name(f".{path.name}.lock"), str(path))


def is_ours(path: Path) -> bool:
    """Whether a file is empty or has our mark near its head or tail."""
    if not path.is_file():  # reading a pipe or a device could wait for ever
        return False
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_MARK_WITHIN)
        file.seek(max(0, size - _MARK_WITHIN))
        tail = file.read()
    return size == 0 or MARK.encode() in head or MARK.encode() in tail
