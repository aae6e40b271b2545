"""One connection to a camera, which its own thread opens, reads and releases."""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, Protocol
from weakref import WeakSet

import cv2
import numpy as np

from pipeline.errors import SourceError
from pipeline.stream.frame import Image
from pipeline.stream.queues import LatestValueQueue

log = logging.getLogger(__name__)

#: Seconds that the end of the process waits for open captures.
_EXIT_TIMEOUT = 1.0

_living: WeakSet[Connection] = WeakSet()


class Capture(Protocol):
    """The methods of ``cv2.VideoCapture`` that are used."""

    def grab(self) -> bool:
        """Wait for the next frame; False if no more come."""

    def retrieve(self) -> tuple[bool, Any]:
        """Decode the frame that was grabbed."""

    def get(self, propId: int, /) -> float:  # noqa: N803
        """Return a property; 0 or -1 if it is unknown."""

    def release(self) -> None:
        """Release the device or the socket."""


class Grabbed(NamedTuple):
    """A frame of a capture.

    Attributes:
        image: (H, W, 3) uint8.
        captured: seconds of ``time.monotonic()`` when it was grabbed, before decoding.
        number: among the usable frames of this connection, from 0.
    """

    image: Image
    captured: float
    number: int


class Connection:
    """Reads a capture in its own thread into a latest-value queue.

    Only that thread uses the capture, so that nobody waits for the driver. A connection whose
    driver hangs in a read is dropped; the capture is released if the read ever returns.

    Args:
        name: of the source, without passwords.
        open_capture: called in the thread; raises ``SourceError`` if it cannot open.
        remedy: what to do when no frame comes, for the error line.

    Attributes:
        frames: the newest one; closed when no more come.
        fps: frames per second as the capture states it, None where it does not.
        started: seconds of ``time.monotonic()``.
        newest: when the last usable frame was grabbed; None before the first.
        skipped: unusable frames: empty, or of a wrong type.
        failure: why no more frames come; None while they may.
    """

    def __init__(self, name: str, open_capture: Callable[[], Capture], remedy: str) -> None:
        self.frames: LatestValueQueue[Grabbed] = LatestValueQueue()
        self.fps: float | None = None
        self.started = time.monotonic()
        self.newest: float | None = None
        self.skipped = 0
        self.failure: SourceError | None = None
        self._name = name
        self._remedy = remedy
        self._open = open_capture
        # A daemon: a driver that never returns from a read must not keep the process alive.
        self._thread = threading.Thread(target=self._work, name=f"roadseg-read {name}", daemon=True)
        _living.add(self)
        _leave_in_order()
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether the thread still holds the capture."""
        return self._thread.is_alive()

    def drop(self) -> None:
        """End; the thread releases the capture as soon as it can."""
        self.frames.cancel()

    def join(self, seconds: float) -> bool:
        """Wait ``seconds`` at most until the capture is released; whether it is."""
        self._thread.join(seconds)
        return not self.busy

    def _work(self) -> None:
        capture = None
        try:
            capture = self._open()
            fps = capture.get(cv2.CAP_PROP_FPS)
            # A stream without a rate gives 0, NaN or its time base (up to 90000).
            self.fps = fps if 0 < fps < 1000 else None
            self._read(capture)
            self._fail(f"{self._name} delivers no more frames")
        except SourceError as error:
            self._fail(error)
        except cv2.error as error:
            self._fail(f"OpenCV could not read {self._name} ({error.err})")
        except Exception as error:
            log.debug("reading %s failed", self._name, exc_info=True)
            self._fail(f"reading {self._name} failed ({error!r})")
        finally:
            if capture is not None:
                capture.release()

    def _read(self, capture: Capture) -> None:
        number = 0
        while not self.frames.closed and capture.grab():
            captured = time.monotonic()
            image = _usable(capture)
            if image is None:
                self.skipped += 1
                continue
            self.newest = captured
            self.frames.put(Grabbed(image, captured, number))
            number += 1

    def _fail(self, failure: SourceError | str) -> None:
        if isinstance(failure, str):
            failure = SourceError(f"{failure}; {self._remedy}")
        self.failure = failure
        self.frames.close()


def _usable(capture: Capture) -> Image | None:
    """Return the frame as (H, W, 3) uint8; None if it is something else."""
    try:
        arrived, image = capture.retrieve()
    except cv2.error:
        return None
    if not arrived or not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        return None
    return image if image.ndim == 3 and image.shape[2] == 3 and image.size else None


@cache
def _leave_in_order() -> None:
    """End connections before the interpreter ends.

    If Python ends a daemon thread inside of OpenCV's C++ code, the whole process aborts and its
    exit status is lost.
    """
    atexit.register(_drop_all)


def _drop_all() -> None:
    connections = list(_living)
    for connection in connections:
        connection.drop()
    deadline = time.monotonic() + _EXIT_TIMEOUT
    for connection in connections:
        connection.join(max(0.0, deadline - time.monotonic()))
