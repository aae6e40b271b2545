"""A disk of a few bytes: for one file through the system's limit, for a folder by counting."""

from __future__ import annotations

import errno
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.stream.sinks.disk_file import DiskFile


@contextmanager
def disk_full_after(size: int) -> Iterator[None]:
    """Limit every file to ``size`` bytes (Python ignores SIGXFSZ)."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


class SmallDisk:
    """A folder in which videos have only ``size`` bytes of room for everything together."""

    def __init__(self, folder: Path, size: int, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.size = size
        put = DiskFile._put

        def limited(file: DiskFile, data: memoryview) -> int:
            room = self.size - self.used
            if room <= 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return put(file, data[:room])

        usage = shutil.disk_usage
        patch.setattr(DiskFile, "_put", limited)
        patch.setattr(
            shutil, "disk_usage", lambda path: usage(path)._replace(free=self.size - self.used)
        )

    @property
    def used(self) -> int:
        """Return the bytes of all files in the folder."""
        return sum(path.stat().st_size for path in self.folder.iterdir())
