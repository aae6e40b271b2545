"""Sources, sessions and sinks that do little, so that a test sees the work of the stream."""

from __future__ import annotations

import threading
import time

import numpy as np

from pipeline.errors import SinkError, SourceError
from pipeline.runtimes.null import NullSession
from pipeline.runtimes.session import ClassMaps, Frames
from pipeline.stream.frame import Frame, Result
from pipeline.stream.sinks.base import Sink
from pipeline.stream.sources.base import Source


class Numbers(Source):
    """Small frames whose first pixel is their index; endless unless given a count."""

    def __init__(
        self,
        count: int | None = None,
        live: bool = False,
        interval: float = 0,
        fail_at: int | None = None,
        size: tuple[int, int] = (48, 64),
    ) -> None:
        super().__init__("numbers")
        self._fail_at = fail_at
        self._size = size
        self.live = live
        self.index = 0
        self.closed_by = ""
        self._count = count
        self._interval = interval

    def _read(self) -> Frame | None:
        if self.index == self._count:
            return None
        if self.index == self._fail_at:
            raise SourceError("the source broke")
        time.sleep(self._interval)
        image = np.full((*self._size, 3), self.index % 256, np.uint8)
        self.index += 1
        return Frame(image, self.index - 1, time.monotonic(), f"{self.index - 1:06d}")

    def _close(self) -> None:
        self.closed_by = threading.current_thread().name


class Marks(NullSession):
    """Class maps filled with the first pixel of the frame, modulo 11; may be slow."""

    def __init__(self, seconds: float = 0) -> None:
        super().__init__(32, 24)
        self._seconds = seconds

    def _run(self, frames: Frames) -> ClassMaps:
        time.sleep(self._seconds)
        return super()._run(frames) + (frames[:, :1, :1, 0] % 11)


class Collect(Sink):
    """Keeps what it receives; may be slow, may fail, may hang until it is released."""

    def __init__(
        self, seconds: float = 0, fail_at: int | None = None, hang_at: int | None = None
    ) -> None:
        super().__init__("collect")
        self.results: list[Result] = []
        self.finished = False
        self.closed_in = ""
        self._seconds = seconds
        self._fail_at = fail_at
        self._hang_at = hang_at
        self.released = threading.Event()

    def _write(self, result: Result) -> None:
        time.sleep(self._seconds)
        if len(self.results) == self._hang_at:
            self.released.wait(30)
        if len(self.results) == self._fail_at:
            raise SinkError("the sink broke")
        self.results.append(result)

    def close(self) -> None:
        """Close, and remember the thread."""
        self.closed_in = threading.current_thread().name
        super().close()

    def _finish(self) -> None:
        self.finished = True

    @property
    def indices(self) -> list[int]:
        return [result.frame.index for result in self.results]


def stage_threads() -> list[str]:
    """Names of the streams' threads, without the screen's, which stays with the process."""
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name.startswith("roadseg-") and name != "roadseg-screen"]
