"""One writer for one output: a lock that the system takes away from a process that dies."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from models.errors import OutputError

log = logging.getLogger(__name__)

#: What file systems say that have no locks.
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}


class WriteLock(AbstractContextManager["WriteLock"]):
    """Held from the beginning until ``release``, or the end of the process, ``kill -9`` included.

    Args:
        path: file of the lock, which holds the number of the process; removed at the end.
        what: that is written, for the error.

    Raises:
        OutputError: another process, which is named, or another writer of this one holds it.
    """

    def __init__(self, path: Path, what: str) -> None:
        self._path = path
        self._file: int | None = None
        while self._file is None:
            # A symbolic link in its place would have us write into its target.
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
            try:
                self._acquire(file, what)
                there = _is_at(file, path)  # else its last holder has removed it meanwhile
            except BaseException:
                os.close(file)
                raise
            if there:
                self._file = file
            else:
                os.close(file)

    def _acquire(self, file: int, what: str) -> None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with suppress(OSError):  # a full disk: locked all the same
                os.truncate(file, 0)
                os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError:
            holder = os.pread(file, 20, 0).decode(errors="replace").strip()
            if holder == str(os.getpid()):
                raise OutputError(
                    f"two outputs would write {what}; give each its own name"
                ) from None
            raise OutputError(
                f"{what} is being written by process {holder or 'of another machine'}; stop that "
                "one, or choose another name"
            ) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            log.info("%s cannot be locked (%s)", what, error)

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Let others write; calling it again does nothing."""
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):
                self._path.unlink()
            os.close(file)


def _is_at(file: int, path: Path) -> bool:
    with suppress(OSError):
        return os.path.samestat(os.fstat(file), os.stat(path, follow_symlinks=False))
    return False
