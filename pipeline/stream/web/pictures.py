"""What viewers of one camera get: its last result as bytes, made for those who watch just now."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from models.classes import ClassSet
from pipeline.frame import Result
from pipeline.stream.drawing import status_text
from pipeline.stream.marks import draw_marks
from pipeline.stream.overlay import Overlay, class_shares
from pipeline.stream.timing import RecentTimes
from pipeline.stream.web.encoding import fitted, jpeg_of, parts_of
from pipeline.stream.web.viewers import Audience


class Pictures:
    """The last result of a camera, for browsers in parts and for players drawn.

    Args:
        classes: names and palette.
        width: of pictures in pixels, at most.
        post: calls a function on the server's event loop, soon, from any thread.

    Attributes:
        parts: viewers that compose pictures themselves.
        drawn: viewers of the drawn stream.
        encoding: times of making parts.
    """

    def __init__(
        self, classes: ClassSet, width: int, post: Callable[[Callable[[], None]], None]
    ) -> None:
        self.parts, self.drawn = Audience(), Audience()
        self.encoding = RecentTimes()
        self._classes = classes
        self._width = width
        self._post = post
        self._overlay = Overlay(classes)
        self._drawing = threading.Lock()
        self._jpeg: tuple[Result, bytes] | None = None
        self._latest: tuple[Result, float | None] | None = None

    def show(self, result: Result, rate: float | None) -> None:
        """Take a result with its shares; it becomes bytes only where somebody watches.

        Args:
            result: of the newest frame.
            rate: frames per second, for the line of status.
        """
        self._latest = result, rate
        for audience, made in ((self.parts, self.current_parts), (self.drawn, self.snapshot)):
            if audience.is_hungry() and (picture := made()) is not None:
                self._offer(audience, picture)

    def end(self) -> None:
        """Send home who watches the drawn stream; browsers keep the last picture."""
        self._post(self.drawn.end)

    def current_parts(self) -> bytes | None:
        """Encode the last result for a browser; None before the first."""
        if self._latest is None:
            return None
        result, _ = self._latest
        began = time.monotonic()
        message = parts_of(result, self._width, began - result.frame.captured)
        self.encoding.add(time.monotonic() - began)
        return message

    def snapshot(self) -> bytes | None:
        """Draw the last result as a JPEG file, once for all who ask; None before the first."""
        with self._drawing:  # snapshots may be asked for while the stream is drawn
            if self._latest is None:
                return None
            result, rate = self._latest
            if self._jpeg is None or self._jpeg[0] is not result:
                image = fitted(result.frame.image, self._width)
                words = status_text(rate, result.frame)
                drawn = self._overlay.draw(image, result.classes, self._shares_of(result), words)
                draw_marks(drawn, result.marks)
                self._jpeg = result, jpeg_of(drawn)
            return self._jpeg[1]

    @property
    def shares(self) -> dict[str, float]:
        """Share of the last result per class name, 0..1; empty before the first."""
        if self._latest is None:
            return {}
        shares = self._shares_of(self._latest[0]).tolist()
        names = self._classes.names
        return {name: round(share, 4) for name, share in zip(names, shares, strict=True)}

    def _shares_of(self, result: Result) -> NDArray[np.float64]:
        if result.shares is not None:
            return result.shares
        return class_shares(result.classes, len(self._classes))

    def _offer(self, audience: Audience, picture: bytes) -> None:
        self._post(lambda: audience.offer(picture))
