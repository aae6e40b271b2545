"""The one interface of everything that takes results."""

from __future__ import annotations

import errno
import threading
from abc import abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from models.classes import CAMVID, ClassSet
from pipeline.errors import SinkError
from pipeline.stream.frame import Frame, Image, Mark, Result
from pipeline.stream.status import StreamStatus
from pipeline.stream.waiting import CLOSE_TIMEOUT

#: Frames per second of a source that has no rate of its own (a directory of pictures).
_DEFAULT_FPS = 10.0


@dataclass(frozen=True)
class SinkOptions:
    """What a sink has to know beyond its own name.

    Attributes:
        classes: names and palette of the class maps.
        source: name of the source, as data beside the results.
        fps: rate of the source, None where it has none.
        live: times come from the moments of capture, not from index and rate.
        force: files that are not ours may be replaced.
        page: opens the sink that shows a source on the page, given the options of that source:
            ``Page.sink`` of ``pipeline.stream.web``. None where there is no page.
        segment: seconds after which a video goes on in a new file; None for one file.
        keep: bytes that all files of a segmented video may take; None for no limit.
        make_room: called on a full disk; removes something and returns whether it did. None
            without such a function.
        drawn: ``classes`` with the colours for drawing; None for those of ``classes``.
    """

    classes: ClassSet = CAMVID
    source: str = ""
    fps: float | None = None
    live: bool = False
    force: bool = False
    page: Callable[[SinkOptions], Sink] | None = None
    segment: float | None = None
    keep: int | None = None
    make_room: Callable[[], bool] | None = None
    drawn: ClassSet | None = None


class MediaTime:
    """Time of a frame: in a file its own, or by the rate; live the time since the first frame.

    Args:
        fps: rate of the source, None where it has none.
        live: whether the source is live.

    Attributes:
        fps: rate of the source, or the assumed one.
    """

    def __init__(self, fps: float | None, live: bool = False) -> None:
        self.fps = fps or _DEFAULT_FPS
        self._live = live
        self._first: float | None = None

    def seconds(self, frame: Frame) -> float:
        """Seconds since the first frame given to this method (live) or since frame 0 (a file)."""
        if not self._live:
            return frame.index / self.fps if frame.seconds is None else frame.seconds
        if self._first is None:
            self._first = frame.captured
        return frame.captured - self._first


class Sink(AbstractContextManager["Sink"]):
    """Takes results in order. Use as a context manager; write from one thread at a time.

    Closing finishes the output. An output without results is removed, and an earlier file of that
    name stays. If writing fails, for example on a full disk, the results before the failure are
    kept where they can be used.

    A slow or failing sink does not affect the others. A live stream drops results for which the
    sink is too slow; a file waits for it, unless it ``may_drop``. A write that takes half a minute
    counts as a failure. After an error from ``write`` the sink is closed and gets no more results.
    When a user closes a window, its sink calls ``end_stream``, in any thread; that acts like
    Ctrl-C: captured frames are finished, and the exit status is 0.

    Attributes:
        name: kind of sink, as it appears among the stages.
        output: file or folder that it writes; None without one.
        url: address for a browser; None without one.
        written: results taken so far.
        lost: results that could not be kept although the sink goes on.
        problems: one line each about lost results.
        left: after the end, ``output`` or the part of it that was kept; None if there is nothing.
        wants_overlay, wants_shares: which fields of ``Result`` it needs.
        observes: ``observe`` is to be called with every result.
        may_drop: it only shows results: beside a sink that keeps all, it may miss some of a file.
        status: returns what the stream is doing, from any thread; None outside of a stream.
        end_stream: ends the stream; set by the stream before the first result.
    """

    wants_overlay = False
    wants_shares = False
    observes = False
    may_drop = False

    def __init__(self, name: str, output: Path | None = None) -> None:
        self.name = name
        self.output = output
        self.url: str | None = None
        self.written = 0
        self.lost = 0
        self.problems: list[str] = []
        self.left: Path | None = None
        self.status: Callable[[], StreamStatus] | None = None
        self.end_stream: Callable[[], None] = lambda: None
        self._closed = False
        self._abandoned = False
        self._busy = threading.Lock()

    def attach(self, status: Callable[[], StreamStatus]) -> None:
        """Set ``status``; called once, before the first result.

        Args:
            status: may be called ten times a second, from any thread, also after the end.
        """
        self.status = status

    def observe(self, result: Result) -> tuple[Mark, ...]:
        """Look at a result before any sink gets it; return what to draw over its picture.

        If ``observes`` is set, it is called for every result in order, also for those dropped
        before ``write``, and in another thread than ``write``.
        """
        return ()

    def write(self, result: Result) -> bool:
        """Take one result.

        Returns:
            Whether it was kept; if not, it is counted in ``lost``.

        Raises:
            SinkError: the output cannot be written any further, for example on a full disk.
        """
        with self._busy:
            lost = self.lost
            try:
                self._write(result)
            except OSError as error:
                self._closed = True
                self.left = None if self._abandoned else self._salvage()
                raise self._error(error) from error
            kept = self.lost == lost
            self.written += kept
            return kept

    def abandon(self) -> None:
        """Give the sink up while a write hangs; its output will not get its final name."""
        self._abandoned = True

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Finish the output; calling it again does nothing.

        Raises:
            SinkError: the end of the output cannot be written.
        """
        if not self._busy.acquire(timeout=CLOSE_TIMEOUT):
            return  # a write hangs in another thread, so nothing can be finished
        try:
            if not self._closed:
                self._closed = True
                self._end()
        finally:
            self._busy.release()

    def _end(self) -> None:
        if self._abandoned:
            self._leave()
            return
        if not self.written:
            self._discard()
            return
        try:
            self._finish()
        except OSError as error:
            self.left = self._salvage()
            raise self._error(error) from error
        self.left = self.output

    def _error(self, error: OSError) -> SinkError:
        reason = error.strerror or str(error)
        kept = (
            f"{self.left} has the frames before the failure"
            if self.left
            else "no partial file was left"
        )
        too_long = error.errno == errno.ENAMETOOLONG
        advice = "give a shorter name" if too_long else "make room or choose another place"
        return SinkError(
            f"{self.output or self.name} cannot be written after {self.written} frames "
            f"({reason}); {advice}, {kept}"
        )

    @abstractmethod
    def _write(self, result: Result) -> None:
        """Take one result; an ``OSError`` becomes a ``SinkError``."""

    def _overlay_of(self, result: Result) -> Image:
        """Return the drawn frame of a result, (H, W, 3) uint8 BGR."""
        if result.overlay is None:
            raise SinkError(f"{self.output or self.name} was given a result without an overlay")
        return result.overlay

    def _finish(self) -> None:
        """Finish an output that took at least one result."""

    def _salvage(self) -> Path | None:
        """After a failed write: keep the usable part of the output, remove the rest; never raises.

        Returns:
            What is kept; None for nothing.
        """
        self._discard()
        return None

    def _leave(self) -> None:
        """Close what is open, and leave the files as they are; never raises."""
        self._discard()

    def _discard(self) -> None:
        """Remove the unfinished output; never raises."""
