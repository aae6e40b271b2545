"""The sink that shows results in a tab of the page."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.stream.frame import Result
from pipeline.stream.sinks.base import Sink
from pipeline.stream.status import StreamStatus
from pipeline.stream.web.camera import Camera


class PageSink(Sink):
    """Shows results of one camera; pictures are encoded only while somebody watches.

    After closing, the last picture stays on the page, marked as ended.
    """

    wants_shares = True
    may_drop = True

    def __init__(self, camera: Camera, url: str) -> None:
        super().__init__("http")
        self.url = url
        self._camera = camera

    def attach(self, status: Callable[[], StreamStatus]) -> None:
        super().attach(status)
        self._camera.stream_status = status

    def close(self) -> None:
        super().close()
        self._camera.close()

    def _write(self, result: Result) -> None:
        self._camera.show(result)
