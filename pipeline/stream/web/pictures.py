"""The last result of a camera, encoded for its viewers while there are any."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from models.classes import ClassSet
from pipeline.stream.drawing import status_text
from pipeline.stream.frame import Result
from pipeline.stream.marks import draw_marks
from pipeline.stream.overlay import Overlay, class_shares
from pipeline.stream.timing import RecentTimes
from pipeline.stream.web.encoding import fitted, jpeg_of, parts_of
from pipeline.stream.web.viewers import Audience


class Pictures:
    """Encodes results: picture and class map separately for browsers, drawn for players.

    Args:
        classes: names and palette.
        width: largest width in pixels of a picture.
        post: calls a function on the server's event loop, soon, from any thread.

    Attributes:
        parts: browsers, which get picture and class map.
        drawn: viewers of the drawn stream.
        encoding: times of encoding for browsers.
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
        """Take the newest result, and encode it if somebody can take it.

        ``rate`` is in frames per second, for the status line.
        """
        self._latest = result, rate
        for audience, encode in ((self.parts, self.current_parts), (self.drawn, self.snapshot)):
            if audience.is_ready() and (picture := encode()) is not None:
                self._post(partial(audience.offer, picture))

    def end(self) -> None:
        """End the drawn stream for its viewers; browsers keep the last picture."""
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
        """Return the last result, drawn, as a JPEG file; None before the first."""
        with self._drawing:  # requests come while the stream is drawn
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
        """Shares of the last result by class name, 0..1; empty before the first."""
        if self._latest is None:
            return {}
        shares = self._shares_of(self._latest[0]).tolist()
        names = self._classes.names
        return {name: round(share, 4) for name, share in zip(names, shares, strict=True)}

    def _shares_of(self, result: Result) -> NDArray[np.float64]:
        if result.shares is not None:
            return result.shares
        return class_shares(result.classes, len(self._classes))
