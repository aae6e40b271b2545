"""A trace of stages and threads that ui.perfetto.dev and chrome://tracing open.

The format is Chrome's "JSON object format" with complete events (``ph`` X), times in microseconds:
https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.errors import OutputError
from pipeline.stream.growing_file import GrowingFile
from pipeline.stream.timing import Work

log = logging.getLogger(__name__)

#: Events that wait in memory before they are written.
_WAITING = 256
#: Longest time in seconds until an event is in the file, as long as further events come.
_PATIENCE = 1.0
_TAIL = b"\n]}\n"


class Trace(AbstractContextManager["Trace"]):
    """Writes events of all threads to a file while the stream runs, in constant memory.

    Args:
        path: of the file, which is replaced.
        comment: written at the head of the file.

    Attributes:
        used: whether there was an event.
        problem: why the trace ends early, in one line; None where it does not.

    Raises:
        OutputError: the file cannot be written.
    """

    def __init__(self, path: Path, comment: str = "") -> None:
        self._path = path
        self._lock = threading.Lock()
        self._waiting: list[dict[str, Any]] = []
        self._threads: set[int] = set()
        self.problem: str | None = None
        self.used = False
        self._written = time.monotonic()
        try:
            self._file = GrowingFile(path, _TAIL)
            head = json.dumps({"displayTimeUnit": "ms", "otherData": {"comment": comment}})
            process = _name("process_name", 0, "roadseg")
            self._file.append(f'{head[:-1]}, "traceEvents": [\n{json.dumps(process)}')
        except OSError as error:
            raise OutputError(
                f"trace {path} cannot be written ({error.strerror}); choose another place"
            ) from error

    def of(self, source: str) -> Callable[[Work], None]:
        """Return a function that takes the work of ``source`` from the thread that did it."""
        return partial(self._add, source)

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Write the waiting events and finish the file."""
        with self._lock:
            if not self._file.closed:
                if self.problem is None:
                    self._write()
                self._file.close()

    def _add(self, source: str, work: Work) -> None:
        thread = threading.current_thread()
        number = thread.native_id or 0
        event = {
            "name": work.stage,
            "ph": "X",
            "ts": round(work.began * 1e6),
            "dur": round((work.ended - work.began) * 1e6),
            "pid": 1,
            "tid": number,
            "args": {"frame": work.frame, "source": source},
        }
        with self._lock:
            if self._file.closed or self.problem is not None:
                return
            if number not in self._threads:
                self._threads.add(number)
                name = thread.name.removeprefix("roadseg-")
                self._waiting.append(_name("thread_name", number, name))
            self._waiting.append(event)
            self.used = True
            if len(self._waiting) >= _WAITING or work.ended - self._written > _PATIENCE:
                self._write()

    def _write(self) -> None:
        events = "".join(f",\n{json.dumps(event)}" for event in self._waiting)
        self._waiting.clear()
        self._written = time.monotonic()
        try:
            self._file.append(events)
        except OSError as error:
            # A full disk ends the trace, not the stream.
            self.problem = f"trace {self._path} ends early ({error.strerror}); make room"
            log.error("%s", self.problem)


def _name(what: str, thread: int, name: str) -> dict[str, Any]:
    return {"name": what, "ph": "M", "pid": 1, "tid": thread, "args": {"name": name}}
