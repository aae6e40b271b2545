"""The end of a stream that feeds a tab of the page."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.frame import Result
from pipeline.stream.sinks.base import Sink
from pipeline.stream.status import StreamStatus
from pipeline.stream.web.camera import Camera


class PageSink(Sink):
    """Shows results of one camera; costs next to nothing while nobody watches.

    Closing it leaves the last picture on the page, as ended.

    Args:
        camera: its tab.
        url: of the page.
    """

    wants_shares = True
    may_drop = True

    def __init__(self, camera: Camera, url: str) -> None:
        super().__init__("http")
        self.url = url
        self._camera = camera

    def attach(self, status: Callable[[], StreamStatus]) -> None:
        """Learn where to ask what the stream is doing, for the numbers on the page."""
        super().attach(status)
        self._camera.attach(status)

    def close(self) -> None:
        """Mark the camera as ended."""
        super().close()
        self._camera.close()

    def _write(self, result: Result) -> None:
        self._camera.show(result)
