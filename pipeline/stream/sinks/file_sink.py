"""What sinks that write one file have in common: how it is finished, kept or removed."""

from __future__ import annotations

import logging
from abc import abstractmethod
from pathlib import Path

from pipeline.stream.sinks.base import Sink
from pipeline.stream.sinks.output_file import OutputFile

log = logging.getLogger(__name__)


class FileSink(Sink):
    """Writes to ``_target.partial``, which gets its own name when the sink is closed.

    Args:
        name: kind of sink.
        path: of the output; None to write none.
        force: replace a file that is not ours.
    """

    def __init__(self, name: str, path: Path | None, force: bool) -> None:
        super().__init__(name, path)
        self._target = None if path is None else OutputFile(path, force)

    @abstractmethod
    def _close_file(self) -> None:
        """Close the open file; calling it again does nothing."""

    def _is_usable(self) -> bool:
        """Whether a file that was closed before its end is worth keeping."""
        return self.written > 0

    def _finish(self) -> None:
        self._close_file()
        if self._target is not None:
            self._target.commit()

    def _salvage(self) -> Path | None:
        self._close_quietly()
        if self._target is not None and self._is_usable():
            return self._target.keep()
        self._discard()
        return None

    def _leave(self) -> None:
        self._close_quietly()
        if self._target is not None:
            self._target.leave()

    def _discard(self) -> None:
        self._close_quietly()
        if self._target is not None:
            self._target.discard()

    def _close_quietly(self) -> None:
        try:
            self._close_file()
        except OSError as error:
            log.debug("closing %s, which failed before: %s", self.output, error)
