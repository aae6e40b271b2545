"""How sinks claim a file: only our own are replaced, and a file has one writer."""

from __future__ import annotations

import errno
import itertools
import os
from pathlib import Path

from models.lock import WriteLock
from pipeline.errors import OutputError

#: Stands in every file that a sink writes: how a later run knows its own outputs.
MARK = "made by roadseg"

#: Where in a file the mark is looked for: video containers keep it at their head or tail.
_MARK_WITHIN = 1 << 16


class OutputFile:
    """A file that is written under a name beside its own and moved there when it is whole.

    A process that is killed leaves ``NAME.partial.SUFFIX``, which stays: the next run takes another
    name, ``NAME.partial-2.SUFFIX``.

    Args:
        path: where it belongs.
        force: replace a file that is not ours.

    Attributes:
        partial: where to write; made here, empty, for us alone.

    Raises:
        OutputError: a file that is not ours stands there, another process writes it, or the folder
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
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = lock_of(path)
            self.partial = self._created()
        except OSError as error:
            raise OutputError(
                f"{path} cannot be written ({error.strerror}); choose a folder that you may "
                "write to"
            ) from error

    def commit(self) -> None:
        """Move the finished file to its name.

        Raises:
            FileExistsError: a file that is not ours was put there meanwhile; both stay.
        """
        if not self._is_free():
            self.leave()
            raise FileExistsError(
                errno.EEXIST,
                f"another file was put there meanwhile, the new one is {self.partial.name}",
            )
        self._move()

    def keep(self) -> Path:
        """Keep a file that was cut short: in place of none, beside one that is whole.

        Returns:
            Where it is now.
        """
        if self.path.exists() or self.path.is_symlink():
            self.leave()
            return self.partial
        self._move()
        return self.path

    def discard(self) -> None:
        """Remove what was begun; what was moved or left before stays."""
        if not self._ended:
            self.partial.unlink(missing_ok=True)
        self.leave()

    def leave(self) -> None:
        """Leave what was begun as it is, under its partial name."""
        self._ended = True
        self._lock.release()

    def _move(self) -> None:
        os.replace(self.partial, self.path)
        self.leave()

    def _is_free(self) -> bool:
        return self._force or not self.path.exists() or is_ours(self.path)

    def _created(self) -> Path:
        """Create a file that was not there: that of a user, or of a killed run, stays."""
        try:
            for number in itertools.count(1):
                mark = "partial" if number == 1 else f"partial-{number}"
                partial = self.path.with_name(f"{self.path.stem}.{mark}{self.path.suffix}")
                try:
                    partial.open("xb").close()
                except FileExistsError:
                    continue
                break
        except BaseException:
            self._lock.release()
            raise
        return partial


def lock_of(path: Path) -> WriteLock:
    """Lock an output file; its folder must be there.

    Raises:
        OutputError: another process writes it.
        OSError: the folder cannot be written.
    """
    place = path.parent.resolve() / path.name
    return WriteLock(place.with_name(f".{path.name}.lock"), str(path))


def is_ours(path: Path) -> bool:
    """Whether a file is empty or carries our mark near its head or tail."""
    if not path.is_file():  # reading a pipe or a device could wait for ever
        return False
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_MARK_WITHIN)
        file.seek(max(0, size - _MARK_WITHIN))
        tail = file.read()
    return size == 0 or MARK.encode() in head or MARK.encode() in tail
