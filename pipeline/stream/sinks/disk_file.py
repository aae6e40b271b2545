"""The file under a video's container: on a full disk it ends where it was whole."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable
from pathlib import Path


class DiskFile:
    """Written by FFmpeg, which closes a container by writing its index, also after a failure.

    On a full disk that index arrives in part, and the video does not play. So the first write that
    fails, and for which no room can be made, is the last: the file is cut to what was whole, and
    takes nothing more.

    Args:
        path: is there already.
        whole: how many bytes at the beginning of a file make a video that plays.
        make_room: asked on a full disk, again and again, whether there is room now.

    Attributes:
        error: why it takes nothing more; None while it does.
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
        """Write all of it, or raise once."""
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
        """Write some of it, as a disk that gets full does, and return how much."""
        return self._file.write(data) or 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to where the next write goes."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._end}[whence]
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        """Where the next write goes."""
        return self._position

    def close(self) -> None:
        """Close it; calling it again does nothing."""
        self._file.close()


def whole_mp4(path: Path) -> int:
    """Bytes of whole boxes (ISO/IEC 14496-12), the index of a fragment with its pictures."""
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
    """All bytes: players take a cluster that is cut for what is there of it."""
    return path.stat().st_size
