"""One writer per output: a file lock, which the system releases when its process ends."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from models.errors import OutputError

log = logging.getLogger(__name__)

#: Errors of file systems without locks.
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}


class WriteLock(AbstractContextManager["WriteLock"]):
    """Held from its creation until ``release`` or the end of the process, also by ``kill -9``.

    Args:
        path: of the lock file, which holds the process id; removed at the end.
        what: name of the output, for errors.

    Raises:
        OutputError: another process, or another writer of this process, holds it.
    """

    def __init__(self, path: Path, what: str) -> None:
        self._path = path
        self._file: int | None = None
        while self._file is None:
            # No symbolic link, which would make us write into its target.
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
            try:
                self._acquire(file, what)
                there = _is_at(file, path)  # False if its last holder just removed it
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
            with suppress(OSError):  # a full disk: locked nevertheless
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
