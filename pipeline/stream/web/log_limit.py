"""Limits what the server logs about its clients, so that none of them can fill the disk."""

from __future__ import annotations

import logging
import time

#: Kinds that are distinguished; all further ones, which come from clients, count as one.
_KINDS = 64


class LogLimit(logging.Filter):
    """Passes one line of each kind per ``pause`` seconds, with the number of those left out.

    A kind is a message before its values are filled in. Errors caused by a client are logged
    without a traceback.
    """

    def __init__(self, pause: float = 60.0) -> None:
        super().__init__()
        self._pause = pause
        self._last: dict[str, float] = {}
        self._held_back: dict[str, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        kind = str(record.msg)
        if kind not in self._last and len(self._last) >= _KINDS:
            kind = ""
        now = time.monotonic()
        if now - self._last.get(kind, -self._pause) < self._pause:
            self._held_back[kind] = self._held_back.get(kind, 0) + 1
            return False
        self._last[kind] = now
        if held_back := self._held_back.pop(kind, 0):
            record.msg = f"{record.getMessage().rstrip()} (and {held_back} more like it)"
            record.args = ()
        if record.exc_info and isinstance(record.exc_info[1], UnicodeError | ConnectionError):
            record.exc_info = None
        return True
