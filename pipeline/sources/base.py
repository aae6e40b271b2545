"""The one interface of everything that delivers frames."""

from __future__ import annotations

import os
import threading
from abc import abstractmethod
from dataclasses import dataclass

import cv2

from pipeline.closable import Closable
from pipeline.errors import SourceError
from pipeline.frame import Frame

__all__ = ["Frame", "Source", "SourceOptions", "quiet_opencv"]

#: Longest time in seconds that closing waits for a read in another thread.
_CLOSE_TIMEOUT = 1.0


@dataclass(frozen=True)
class SourceOptions:
    """What a user may ask of a source.

    Attributes:
        realtime: play a file at its own rate as if it were live; a live source is so anyway.
        picture_rate: frames per second of pictures that have no rate of their own.
        seed: of the synthetic drive.
    """

    realtime: bool = False
    picture_rate: float = 10.0
    seed: int = 0


class Source(Closable):
    """Frames, one after the other. Use as a context manager; read from one thread at a time.

    Attributes:
        name: what the user called it.
        live: the newest frame counts (a camera); otherwise every frame does (a file).
        fps: frames per second as the source states it, None where it does not.
        promised: frames that the container or directory promises, None where it does not say.
        skipped: frames that were there but could not be read.
        problems: one line each about frames that were lost so far.
    """

    live = False

    def __init__(self, name: str) -> None:
        self.name = name
        self.fps: float | None = None
        self.promised: int | None = None
        self.skipped = 0
        self.problems: list[str] = []
        self._closed = False
        self._busy = threading.Lock()

    def read(self) -> Frame | None:
        """Return the next frame, waiting for it; None at the end, again and again.

        Raises:
            SourceError: a live source stopped delivering.
        """
        with self._busy:
            if self._closed:
                return None
            try:
                return self._read()
            except cv2.error as error:
                raise SourceError(
                    f"{self.name}: OpenCV could not decode a frame ({error.err}); "
                    "check the file or the camera"
                ) from error

    def close(self) -> None:
        """Release what the source holds; calling it again does nothing.

        A driver must not be released under a read that hangs in it: after a second of waiting
        the source is left to the end of the process.
        """
        if self._busy.acquire(timeout=_CLOSE_TIMEOUT):
            try:
                if not self._closed:
                    self._closed = True
                    self._close()
            finally:
                self._busy.release()

    @abstractmethod
    def _read(self) -> Frame | None:
        """Read the next frame."""

    def _close(self) -> None:
        """Release resources; called once."""
        return


def quiet_opencv() -> None:
    """Keep OpenCV and its FFmpeg from writing to standard error; our own errors say it in words.

    A level that the user set in the environment stays.
    """
    if "OPENCV_LOG_LEVEL" not in os.environ:
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    # Read by OpenCV when its FFmpeg starts, with the first video that is opened; -8 is "quiet".
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
