"""Reading sources in tests: by hand, and in a thread as a stream does it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from pipeline.errors import SourceError
from pipeline.stream.frame import Frame
from pipeline.stream.sources import Source

#: Seconds after which a test gives up; far more than anything needs.
LIMIT = 30


def read(source: Source) -> Frame:
    """Read a frame that must exist."""
    frame = source.read()
    assert frame is not None
    return frame


def read_to_the_end(source: Source) -> list[Frame]:
    frames = []
    while (frame := source.read()) is not None:
        frames.append(frame)
    return frames


def wait_until(true: Callable[[], bool], what: str) -> float:
    """Wait, and return the time."""
    deadline = time.monotonic() + LIMIT
    while not true():
        assert time.monotonic() < deadline, f"{what} took more than {LIMIT} s"
        time.sleep(0.005)
    return time.monotonic()


def wait_for(source: Source, state: str) -> float:
    """Wait for a state while another thread reads."""
    return wait_until(lambda: source.health().state == state, f"{source.name} being {state}")


class Reader(threading.Thread):
    """Reads a source to its end, and keeps the result.

    Args:
        source: read in the thread.
        keep: returns the part of a frame to keep, at the moment when it arrives.

    Attributes:
        frames: whole frames if ``keep`` was not given.
        error: the error that ended the reading.
    """

    def __init__(
        self, source: Source, keep: Callable[[Frame], Frame] = lambda frame: frame
    ) -> None:
        super().__init__(daemon=True)
        self.source = source
        self.frames: list[Frame] = []
        self.error: SourceError | None = None
        self._keep = keep
        self.start()

    def run(self) -> None:
        try:
            while (frame := self.source.read()) is not None:
                self.frames.append(self._keep(frame))
        except SourceError as error:
            self.error = error

    def wait_for_frames(self, count: int) -> float:
        target = len(self.frames) + count
        return wait_until(lambda: len(self.frames) >= target, f"{count} frames")
