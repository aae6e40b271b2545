"""The one interface of everything that delivers frames."""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import cv2

from calibration.scenes.video_file import quiet_opencv as quiet_opencv
from pipeline.errors import SourceError
from pipeline.stream.frame import Frame
from pipeline.stream.health import SourceHealth
from pipeline.stream.waiting import CLOSE_TIMEOUT

__all__ = ["CameraOptions", "Frame", "Source", "SourceOptions", "quiet_opencv"]


@dataclass(frozen=True)
class CameraOptions:
    """Settings for a camera's driver; if it gives others, that is logged.

    Attributes:
        size: width and height in pixels.
        fps: frames per second.
        fourcc: pixel format in four letters; many USB cameras reach their full rate with ``MJPG``.

    Raises:
        SourceError: a value that no camera can have.
    """

    size: tuple[int, int] | None = None
    fps: float | None = None
    fourcc: str | None = None

    def __post_init__(self) -> None:
        if self.size is not None and min(self.size) < 1:
            raise SourceError(
                f"the camera size is {self.size[0]}x{self.size[1]}; "
                "both sides must be at least 1, such as 1280x720"
            )
        if self.fps is not None and not 0 < self.fps < 1000:
            raise SourceError(f"the camera rate is {self.fps}; give frames per second, such as 30")
        if self.fourcc is not None and not (len(self.fourcc) == 4 and self.fourcc.isascii()):
            raise SourceError(
                f"the camera format is {self.fourcc!r}; give its four letters, such as MJPG or YUYV"
            )


@dataclass(frozen=True)
class SourceOptions:
    """Options of sources.

    Attributes:
        realtime: play a file at its own rate, as if it were live.
        picture_rate: frames per second with ``realtime`` for pictures, which have no rate.
        seed: of the synthetic drive.
        retries: attempts to reconnect after each loss of a camera; None for no limit. If given, it
            also holds for the first connection, which otherwise fails at once.
        camera: settings for cameras of this machine.
        hardware: decode network streams in hardware if OpenCV can. Files are always decoded by the
            processor, so that they give the same frames on every machine.
        start: seconds to skip at the beginning of a file.
        every: deliver every N-th frame of a file.
        loop: start a file again at its end, without limit.
    """

    realtime: bool = False
    picture_rate: float = 10.0
    seed: int = 0
    retries: int | None = None
    camera: CameraOptions = field(default_factory=CameraOptions)
    hardware: bool = True
    start: float = 0.0
    every: int = 1
    loop: bool = False


class Source(AbstractContextManager["Source"]):
    """Frames, one after the other. Use as a context manager; read from one thread at a time.

    Attributes:
        name: what the user called it.
        live: only the newest frame counts (a camera); otherwise every frame does (a file).
        endless: not live, and without an end (the synthetic drive).
        fps: frames per second as the source states it, None where it does not.
        promised: number of frames that the container or directory states; None if it states none.
        skipped: frames that were there but could not be read.
        overtaken: frames of a live source that a newer one replaced before they were read.
        problems: one line each about lost frames.
        files: the files that are read, which no output may replace.
        pictures: each file is one frame.
    """

    live = False
    endless = False

    def __init__(self, name: str) -> None:
        # Names of files are bytes; what is not UTF-8 is replaced for display.
        self.name = name.encode(errors="surrogateescape").decode(errors="replace")
        self.files: tuple[Path, ...] = ()
        self.pictures = False
        self.fps: float | None = None
        self.promised: int | None = None
        self.skipped = 0
        self.overtaken = 0
        self.problems: list[str] = []
        self._opened_at = time.monotonic()
        self._ended_at: float | None = None
        self._closed = False
        self._busy = threading.Lock()

    def read(self) -> Frame | None:
        """Wait for the next frame and return it; None at the end, also in later calls.

        Raises:
            SourceError: a live source stopped delivering.
        """
        with self._busy:
            if self._closed or self._ended_at is not None:
                return None
            frame = None
            try:
                frame = self._read()
            except cv2.error as error:
                raise SourceError(
                    f"{self.name}: OpenCV could not decode a frame ({error.err}); "
                    "check the file or the camera"
                ) from error
            finally:
                if frame is None:
                    self._end()
            return frame

    def health(self) -> SourceHealth:
        """Return the state, from any thread and without waiting for a read that hangs."""
        if (ended := self._ended_at) is not None:
            return SourceHealth("ended", ended)
        return SourceHealth("live", self._opened_at)

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the source's resources; calling it again does nothing.

        A driver must not be released during a read. If a read hangs for a second, the resources
        stay until the end of the process.
        """
        self._interrupt()
        self._end()
        if self._busy.acquire(timeout=CLOSE_TIMEOUT):
            try:
                if not self._closed:
                    self._closed = True
                    self._close()
            finally:
                self._busy.release()

    @abstractmethod
    def _read(self) -> Frame | None:
        """Read the next frame."""

    def _interrupt(self) -> None:
        """Make a read that waits in another thread return None soon, if that is possible."""

    def _close(self) -> None:
        """Release resources; called once, when no read is under way."""

    def _end(self) -> None:
        if self._ended_at is None:
            self._ended_at = time.monotonic()
