"""A window on this machine's screen, or the page if no window can be opened."""

from __future__ import annotations

import logging

from pipeline.stream.frame import Result
from pipeline.stream.sinks.base import Sink, SinkOptions
from pipeline.stream.sinks.display import DisplayProbe
from pipeline.stream.sinks.http import open_http
from pipeline.stream.sinks.screen import Picture, Screen

log = logging.getLogger(__name__)

#: Longest time in seconds to wait until a picture is on the screen.
_PATIENCE = 1.0


def matches(text: str) -> bool:
    """The word ``window``."""
    return text == "window"


def open_window(_text: str, options: SinkOptions) -> Sink:
    """Open a window, or the page if no window can be opened; that is logged with the reason.

    Raises:
        RuntimeMissingError, SinkError: neither a window nor the page can be opened.
    """
    probe = DisplayProbe()
    if probe.reason is None:
        return WindowSink(options, Screen.shared(), probe)
    sink = open_http("http", options)
    log.warning("no window (%s); the pictures are at %s", probe.reason, sink.url)
    return sink


class WindowSink(Sink):
    """Shows drawn frames. ``q``, Escape or closing the window end the stream.

    Args:
        options: the source's name becomes the title.
        screen: shows the windows of all cameras.
        probe: stays connected to the display until the window is open.
    """

    wants_overlay = True
    may_drop = True

    def __init__(
        self, options: SinkOptions, screen: Screen, probe: DisplayProbe | None = None
    ) -> None:
        super().__init__("window")
        self._screen = screen
        self._probe = probe
        self._window = screen.add(
            f"Roadseg: {options.source}", self._closed_by_user, self._release_display
        )

    def close(self) -> None:
        super().close()
        self._screen.remove(self._window)
        self._release_display()

    def _write(self, result: Result) -> None:
        picture = Picture(self._overlay_of(result))
        self._screen.show(self._window, picture)
        # A frame counts as shown, and its age is measured, when it is on the screen.
        picture.seen.wait(_PATIENCE)

    def _closed_by_user(self) -> None:
        self.end_stream()

    def _release_display(self) -> None:
        if self._probe is not None:
            self._probe.close()
