"""A session that reloads its engine when it is replaced on disk, between two frames."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.errors import RoadsegError
from pipeline.engine.manifest import Engine
from pipeline.errors import EngineError, in_words
from pipeline.runtimes.registry import open_engine
from pipeline.runtimes.session import ClassMaps, Frames, Pending, Segmented, Session, Tint

log = logging.getLogger(__name__)

#: Seconds between two checks of the engine's files.
_INTERVAL = 1.0

#: Seconds that closing waits at most for an engine that is being loaded.
_LOADING = 10.0

OpenEngine = Callable[[Path], tuple[Engine, Session]]


@dataclass(frozen=True, eq=False)
class _WatchedRun(Pending):
    """A run and its session, which may have been replaced since."""

    session: Session
    pending: Pending
    done: Callable[[_WatchedRun], None]

    def result(self) -> Segmented:
        try:
            return self.pending.result()
        finally:
            self.done(self)


class WatchedSession(Session):
    """Runs an engine; when its manifest is replaced, loads the new one in the background.

    The new engine is verified, must have the same classes (palette, legend and files of this run
    depend on them), and must segment a frame of the latest size. Then it replaces the old engine
    between two frames. An engine that fails is refused with one line, and the old one stays.

    A build writes the manifest last, but ``cp`` has its own order. So all files are watched: new
    ones are loaded when they no longer change, and after a refusal only when they change again.

    Args:
        path: engine file or its manifest.
        interval: seconds between two checks of the files.
        open_: how an engine is opened.

    Attributes:
        engine: the one that runs.
        swaps, refusals: number of new engines that were taken and that were refused.

    Raises:
        EngineError, RuntimeMissingError: the first engine cannot be loaded.
    """

    def __init__(
        self, path: Path, interval: float = _INTERVAL, open_: OpenEngine = open_engine
    ) -> None:
        self._path = path
        self._manifest = path.with_suffix(".json")
        self._interval = interval
        self._open = open_
        manifest = _state((self._manifest,))
        self.engine, self._session = open_(path)
        files = [path.with_name(file.name) for file in self.engine.manifest.files]
        self._files = (self._manifest, *files)
        self._seen = (*manifest, *_state(files))
        self.swaps = 0
        self.refusals = 0
        self._shape: tuple[int, ...] | None = None
        self._next: tuple[Engine, Session] | None = None
        self._under_way: list[_WatchedRun] = []
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._describe()
        self._watching = threading.Thread(target=self._watch, name="roadseg-watch", daemon=True)
        self._watching.start()

    def close(self) -> None:
        """Release the engine, and a loaded one that is not in use yet."""
        self._closed.set()
        self._watching.join(_LOADING)  # the process must not end while a runtime loads
        with self._lock:
            waiting, self._next = self._next, None
        if waiting is not None:
            waiting[1].close()
        for session in {run.session for run in self._under_way} - {self._session}:
            session.close()
        self._session.close()

    def _run(self, frames: Frames) -> ClassMaps:
        self._take_over(frames)
        return self._session.run(frames)

    def _submit(self, frames: Frames, tint: Tint | None) -> Pending:
        self._take_over(frames)
        run = _WatchedRun(self._session, self._session.submit(frames, tint), self._collected)
        self._under_way.append(run)
        return run

    def _collected(self, run: _WatchedRun) -> None:
        self._under_way.remove(run)
        self._retire(run.session)

    def _retire(self, session: Session) -> None:
        """Close a session that was replaced, once none of its runs is under way."""
        if session is not self._session and all(r.session is not session for r in self._under_way):
            session.close()

    def _take_over(self, frames: Frames) -> None:
        """Replace the engine by a loaded one, if there is one."""
        self._shape = frames.shape[1:]
        with self._lock:
            waiting, self._next = self._next, None
        if waiting is not None:
            old, (self.engine, self._session) = self._session, waiting
            self._retire(old)
            self._describe()
            log.warning("%s was replaced; the new engine runs now", self._path)
            self.swaps += 1

    def _describe(self) -> None:
        self.input_spec = self._session.input_spec
        self.output_spec = self._session.output_spec
        self.capabilities = self._session.capabilities

    def _watch(self) -> None:
        state = self._seen
        while not self._closed.wait(self._interval):
            before, state = state, _state(self._files)
            if state == self._seen or state != before or None in state:
                continue  # as it was, still changing, or not complete
            self._seen = state
            try:
                self._offer(*self._load())
            except Exception as error:  # whatever is wrong with the new engine, the old one stays
                mistake = None if isinstance(error, RoadsegError) else error
                log.warning(
                    "the engine that replaced %s is refused, the old one stays in use: %s",
                    self._path,
                    in_words(error),
                    exc_info=mistake,
                )
                self.refusals += 1  # after the log line, which readers of this count may look for

    def _load(self) -> tuple[Engine, Session]:
        engine, session = self._open(self._path)
        try:
            if engine.manifest.classes != self.engine.manifest.classes:
                raise EngineError(
                    f"it has other classes ({len(engine.manifest.classes)}, not the "
                    f"{len(self.engine.manifest.classes)} of this run, or other names or colours); "
                    "run again to use it"
                )
            size = (engine.manifest.input.height, engine.manifest.input.width, 3)
            session.run(np.zeros((1, *(self._shape or size)), np.uint8))
        except BaseException:
            session.close()
            raise
        return engine, session

    def _offer(self, engine: Engine, session: Session) -> None:
        with self._lock:
            outdated, self._next = self._next, (engine, session)
        if outdated is not None:
            outdated[1].close()


def _state(files: Iterable[Path]) -> tuple[tuple[int, ...] | None, ...]:
    """Return inode, time and size of files, which change when they do; None for a missing one."""

    def of(path: Path) -> tuple[int, ...] | None:
        with suppress(OSError):
            found = path.stat()
            return (found.st_ino, found.st_mtime_ns, found.st_size)
        return None

    return tuple(map(of, files))
