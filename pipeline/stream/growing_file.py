"""A text file that is valid at any moment while it grows: after ``kill -9``, on a full disk."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


class GrowingFile:
    """Puts an end behind everything that is appended, which the next piece is written over.

    Args:
        path: is replaced.
        tail: ends the file; empty where a piece is whole by itself.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, path: Path, tail: bytes = b"") -> None:
        self._tail = tail
        self._end = 0
        # Unbuffered, so that a run can be followed while it lasts.
        self._file = path.open("wb", buffering=0)

    @property
    def closed(self) -> bool:
        return self._file.closed

    def append(self, content: str) -> None:
        """Write one more piece.

        Raises:
            OSError: there is no room for it; the file ends as it did before.
        """
        piece = content.encode()
        try:
            self._put(piece + self._tail)
        except OSError:
            tail = self._tail if self._end else b""
            with suppress(OSError):  # over what was there: it needs no room
                self._file.truncate(self._end + len(tail))
                self._put(tail)
            raise
        self._end += len(piece)

    def _put(self, content: bytes) -> None:
        """Write at the end; a disk that gets full takes a part first, and fails at the next."""
        self._file.seek(self._end, os.SEEK_SET)
        rest = memoryview(content)
        while rest:
            rest = rest[self._file.write(rest) :]

    def close(self) -> None:
        """Close it; calling it again does nothing."""
        self._file.close()
