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
from pipeline.frame import Frame, Image, Mark, Result
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
        page: opens the sink that shows a source on the page, given the options of that source;
            ``Page.sink`` of ``pipeline.stream.web`` is such. None where there is no page.
        segment: seconds after which a video goes on in a new file; None for one file.
        keep: bytes that all files of a segmented video may take; None for no end.
        make_room: asked on a full disk whether there is room now; None where nobody makes any.
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
    make_room: Callable[[], bool] | None = None
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

    Closing finishes the output; an output that took no result is removed instead, and what stood
    there before stays. Of one whose writing failed, on a full disk for example, what came before is
    kept where it can be used.

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
        lost: results that it was given and could not keep, though it goes on.
        problems: one line each about results that were lost.
        left: what is there now because of this sink: ``output``, or what of it could be kept; None
            before the end, and for nothing.
        wants_overlay, wants_shares: what ``Result`` has to bring.
        observes: ``observe`` is to be asked about every result.
        may_drop: only shows: of a file too it gets the newest result, where another sink keeps all.
        status: what the stream is doing right now, from any thread; None outside of a stream.
        end_stream: ends the stream; set by the stream before the first result, does nothing before.
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
        self.end_stream: Callable[[], None] = _nothing
        self._closed = False
        self._abandoned = False
        self._busy = threading.Lock()

    def attach(self, status: Callable[[], StreamStatus]) -> None:
        """Learn where to ask what the stream is doing; called once, before the first result.

        Args:
            status: cheap enough for ten calls a second, from any thread, also after the end.
        """
        self.status = status

    def observe(self, result: Result) -> tuple[Mark, ...]:
        """See a result before any sink gets it, and say what is to be drawn over its picture.

        Called where ``observes`` is set, for every result in order, also those that this sink is
        too slow for; in another thread than ``write``.
        """
        return ()

    def write(self, result: Result) -> bool:
        """Take one result.

        Returns:
            Whether it was kept; what was not is counted in ``lost``.

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
        """Give the sink up while a write hangs: nothing of it appears under its name any more."""
        self._abandoned = True

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Finish the output; calling it again does nothing.

        Raises:
            SinkError: the end of the output cannot be written.
        """
        if not self._busy.acquire(timeout=CLOSE_TIMEOUT):
            return  # a write hangs in another thread; nothing can be finished under it
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
        kept = f"{self.left} has what came before" if self.left else "nothing half-written was left"
        advice = "make room or choose another place"
        if error.errno == errno.ENAMETOOLONG:
            advice = "give a shorter name"
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
        return

    def _salvage(self) -> Path | None:
        """Keep what can be used of an output whose writing failed, remove the rest; must not raise.

        Returns:
            What is kept; None for nothing.
        """
        self._discard()
        return None

    def _leave(self) -> None:
        """Close what is open, and leave on the disk what is there; must not raise."""
        self._discard()

    def _discard(self) -> None:
        """Remove what was begun; must not raise."""
        return


def _nothing() -> None:
    """Stand in for what only a stream can do."""
