"""The end of a stream that feeds a tab of the page."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.frame import Result
from pipeline.page.camera import Camera
from pipeline.sinks.base import Sink
from pipeline.status import StreamStatus


class PageSink(Sink):
    """Shows results of one camera; costs next to nothing while nobody watches.

    Closing it leaves the last picture on the page, as ended.

    Args:
        camera: its tab.
        close_page: called at the end, where no other camera shares the page.
    """

    wants_shares = True
    may_drop = True

    def __init__(self, camera: Camera, close_page: Callable[[], None] | None = None) -> None:
        super().__init__("http")
        self._camera = camera
        self._close_page = close_page

    def attach(self, status: Callable[[], StreamStatus]) -> None:
        """Learn where to ask what the stream is doing, for the numbers on the page."""
        super().attach(status)
        self._camera.attach(status)

    def close(self) -> None:
        """Mark the camera as ended, and close a page that is this sink's alone."""
        super().close()
        self._camera.close()
        if self._close_page is not None:
            self._close_page()

    def _write(self, result: Result) -> None:
        self._camera.show(result)
