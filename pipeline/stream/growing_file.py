"""A text file that is valid at any moment while it grows, even after ``kill -9``."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


class GrowingFile:
    """Writes ``tail`` after each appended piece; the next piece overwrites it.

    Args:
        path: of the file, which is replaced.
        tail: makes the file valid; empty if it is valid after any piece.

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
            OSError: there is no room for it; the file keeps its previous content.
        """
        piece = content.encode()
        try:
            self._put(piece + self._tail)
        except OSError:
            tail = self._tail if self._end else b""
            with suppress(OSError):  # overwrites the old tail, which needs no room
                self._file.truncate(self._end + len(tail))
                self._put(tail)
            raise
        self._end += len(piece)

    def _put(self, content: bytes) -> None:
        """Write all of ``content`` after the last piece; a write may take only a part of it."""
        self._file.seek(self._end, os.SEEK_SET)
        rest = memoryview(content)
        while rest:
            rest = rest[self._file.write(rest) :]

    def close(self) -> None:
        self._file.close()
