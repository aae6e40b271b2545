"""The file that FFmpeg writes a video to; on a full disk it is cut so that it plays."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable
from pathlib import Path


class DiskFile:
    """A file object for FFmpeg, which writes a container's index when it closes, even on failure.

    On a full disk only a part of that index would be written, and the video would not play. So
    after the first write that fails, and for which no room can be made, the file is cut to the part
    that plays, and later writes are ignored.

    Args:
        path: of an existing file.
        whole: returns how many bytes from the beginning of the file make a video that plays.
        make_room: called on a full disk, as long as it returns that it made room.

    Attributes:
        error: why writes are ignored; None while they are not.
    """

    def __init__(
        self, path: Path, whole: Callable[[Path], int], make_room: Callable[[], bool]
    ) -> None:
        self.name = str(path)
        self.error: OSError | None = None
        self._path = path
        self._whole = whole
        self._make_room = make_room
        self._file = path.open("r+b", buffering=0)
        self._position = 0
        self._end = 0

    def write(self, data: bytes | memoryview) -> int:
        """Write all of ``data``; only the first failure is raised."""
        if self.error is None:
            try:
                self._write(memoryview(data))
            except OSError as error:
                self.error = error
                os.truncate(self._path, self._whole(self._path))
                raise
        self._position += len(data)
        self._end = max(self._end, self._position)
        return len(data)

    def _write(self, rest: memoryview) -> None:
        self._file.seek(self._position)
        while rest:
            try:
                rest = rest[self._put(rest) :]
            except OSError as error:
                if error.errno != errno.ENOSPC or not self._make_room():
                    raise

    def _put(self, data: memoryview) -> int:
        """Write as much as the system takes, and return how much; separate for tests."""
        return self._file.write(data) or 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._end}[whence]
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def close(self) -> None:
        self._file.close()


def whole_mp4(path: Path) -> int:
    """Bytes up to the last complete box (ISO/IEC 14496-12) that is not an index.

    An index at the end does not play without the pictures that should follow it.
    """
    end = path.stat().st_size
    position = whole = 0
    with path.open("rb") as file:
        while position + 8 <= end:
            file.seek(position)
            size, kind = int.from_bytes(file.read(4), "big"), file.read(4)
            if size == 1:  # the length did not fit into 32 bits
                size = int.from_bytes(file.read(8), "big")
            position += max(size, 8)
            if kind not in {b"moov", b"moof"} and position <= end:
                whole = position
    return whole


def whole_mkv(path: Path) -> int:
    """All bytes: players show what there is of a cluster that was cut."""
    return path.stat().st_size
