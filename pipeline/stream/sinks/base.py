"""The one interface of everything that takes results, and how outputs are claimed and finished."""

from __future__ import annotations

import errno
import os
import threading
from abc import abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from models.classes import CAMVID, ClassSet
from pipeline.errors import OutputError, SinkError
from pipeline.frame import Frame, Result
from pipeline.stream.status import StreamStatus

#: Stands in every file that a sink writes: how a later run knows its own outputs.
MARK = "made by roadseg"

#: Where in a file the mark is looked for: video containers keep it at their head or tail.
_MARK_WITHIN = 1 << 16

#: Frames per second of a source that has no rate of its own (a directory of pictures).
_DEFAULT_FPS = 10.0

#: Longest time in seconds that closing waits for a write in another thread.
_CLOSE_TIMEOUT = 1.0


@dataclass(frozen=True)
class SinkOptions:
    """What a sink has to know beyond its own name.

    Attributes:
        classes: names and palette of the class maps.
        source: name of the source, as data beside the results.
        fps: rate of the source, None where it has none.
        live: times come from the moments of capture, not from index and rate.
        force: files that are not ours may be replaced.
        page: opens the sink that shows a source on the page, given the options of that source;
            ``Page.sink`` of ``pipeline.stream.web`` is such. None where there is no page.
        segment: seconds after which a video goes on in a new file; None for one file.
        keep: bytes that all files of a segmented video may take; None for no end.
        drawn: the same with the colours that are drawn; None for those of ``classes``.
    """

    classes: ClassSet = CAMVID
    source: str = ""
    fps: float | None = None
    live: bool = False
    force: bool = False
    page: Callable[[SinkOptions], Sink] | None = None
    segment: float | None = None
    keep: int | None = None
    drawn: ClassSet | None = None


class MediaTime:
    """Where frames stand in time: in a file at their own times, else by its rate; live by a clock.

    Args:
        options: ``fps`` and ``live`` of the source.

    Attributes:
        fps: rate of the source, or the assumed one.
    """

    def __init__(self, options: SinkOptions) -> None:
        self.fps = options.fps or _DEFAULT_FPS
        self._live = options.live
        self._first: float | None = None

    def seconds(self, frame: Frame) -> float:
        """Seconds since the first frame that was asked for (live) or frame 0 (a file)."""
        if not self._live:
            return frame.index / self.fps if frame.seconds is None else frame.seconds
        if self._first is None:
            self._first = frame.captured
        return frame.captured - self._first


class Sink(AbstractContextManager["Sink"]):
    """Takes results in order. Use as a context manager; write from one thread at a time.

    Closing finishes the output; an output that took no result, or whose writing failed, is
    removed instead, and what stood there before stays.

    A sink may be slow and may fail: it never hurts the others. A live stream drops what it is too
    slow for; a file waits for it, unless it ``may_drop``. A write that takes half a minute counts
    as a failure. After an error from ``write`` it is closed and gets nothing
    more. A user who closes a window ends the stream: the sink calls ``end_stream``, in any thread,
    which is like Ctrl-C: what was captured is finished, and the exit status is 0.

    Attributes:
        name: kind of sink, as it appears among the stages.
        output: what it leaves behind; None for nothing.
        url: where a browser finds what it shows; None for nowhere.
        written: results taken so far.
        wants_overlay, wants_shares: what ``Result`` has to bring.
        may_drop: only shows: of a file too it gets the newest result, where another sink keeps all.
        status: what the stream is doing right now, from any thread; None outside of a stream.
        end_stream: ends the stream; set by the stream before the first result, does nothing before.
    """

    wants_overlay = False
    wants_shares = False
    may_drop = False

    def __init__(self, name: str, output: Path | None = None) -> None:
        self.name = name
        self.output = output
        self.url: str | None = None
        self.written = 0
        self.status: Callable[[], StreamStatus] | None = None
        self.end_stream: Callable[[], None] = _nothing
        self._failed = False
        self._closed = False
        self._busy = threading.Lock()

    def attach(self, status: Callable[[], StreamStatus]) -> None:
        """Learn where to ask what the stream is doing; called once, before the first result.

        Args:
            status: cheap enough for ten calls a second, from any thread, also after the end.
        """
        self.status = status

    def write(self, result: Result) -> None:
        """Take one result.

        Raises:
            SinkError: the output cannot be written any further, for example on a full disk.
        """
        with self._busy:
            try:
                self._write(result)
            except OSError as error:
                self._failed = True
                raise self._error(error) from error
            self.written += 1

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Finish the output; calling it again does nothing.

        Raises:
            SinkError: the end of the output cannot be written.
        """
        if not self._busy.acquire(timeout=_CLOSE_TIMEOUT):
            return  # a write hangs in another thread; nothing can be finished under it
        try:
            if not self._closed:
                self._closed = True
                self._end()
        finally:
            self._busy.release()

    def _end(self) -> None:
        if self._failed or not self.written:
            self._discard()
            return
        try:
            self._finish()
        except OSError as error:
            self._discard()
            raise self._error(error) from error

    def _error(self, error: OSError) -> SinkError:
        reason = error.strerror or str(error)
        advice = "make room or choose another place"
        if error.errno == errno.ENAMETOOLONG:
            advice = "give a shorter name"
        return SinkError(
            f"{self.output or self.name} cannot be written after {self.written} frames "
            f"({reason}); {advice}, nothing half-written was left"
        )

    @abstractmethod
    def _write(self, result: Result) -> None:
        """Take one result; an ``OSError`` becomes a ``SinkError``."""

    def _finish(self) -> None:
        """Finish an output that took at least one result."""
        return

    def _discard(self) -> None:
        """Remove what was begun; must not raise."""
        return


def _nothing() -> None:
    """Stand in for what only a stream can do."""


class OutputFile:
    """A file that is written under a name beside its own and moved there when it is whole.

    A process that is killed leaves ``NAME.partial.SUFFIX``; the next run replaces it.

    Raises:
        OutputError: a file that is not ours stands there, or the folder cannot be written.
    """

    def __init__(self, path: Path, force: bool) -> None:
        self.path = path
        self.partial = path.with_name(f"{path.stem}.partial{path.suffix}")
        if path.is_dir():
            raise OutputError(f"{path} is a directory; give the name of a file in it")
        if not force and path.exists() and not is_ours(path):
            raise OutputError(
                f"{path} exists and was not written by roadseg; choose another name, "
                "or replace it with --force"
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.partial.touch()
        except OSError as error:
            raise OutputError(
                f"{path} cannot be written ({error.strerror}); choose a folder that you may "
                "write to"
            ) from error

    def commit(self) -> None:
        """Move the finished file to its name."""
        os.replace(self.partial, self.path)

    def discard(self) -> None:
        """Remove what was begun."""
        self.partial.unlink(missing_ok=True)


def is_ours(path: Path) -> bool:
    """Whether a file is empty or carries our mark near its head or tail."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_MARK_WITHIN)
        file.seek(max(0, size - _MARK_WITHIN))
        tail = file.read()
    return size == 0 or MARK.encode() in head or MARK.encode() in tail
