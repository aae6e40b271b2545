"""What the page answers: files, pictures, numbers. Imported when a page is opened."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import Receive, Scope, Send

from pipeline.stream.web.camera import Camera
from pipeline.stream.web.connections import client_of
from pipeline.stream.web.files import PageFile, page_files
from pipeline.stream.web.live import Live
from pipeline.stream.web.metrics import Metrics
from pipeline.stream.web.viewers import Viewer, ViewerPlaces

_BOUNDARY = "roadseg-frame"


@dataclass(frozen=True)
class Served:
    """What the routes answer from.

    Attributes:
        cameras: all so far, in the order of their numbers.
        places: of viewers, all cameras together.
    """

    cameras: Callable[[], Sequence[Camera]]
    places: ViewerPlaces


class _CameraNumber(Convertor[int]):
    """Numbers that a camera may have; of longer ones Python refuses to make an ``int``."""

    regex = "[0-9]{1,4}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


register_url_convertor("camera", _CameraNumber())


def make_app(served: Served) -> Starlette:
    """Return the application without its access control."""
    pictures = _Pictures(served)
    numbers = _Numbers(served)
    routes: list[BaseRoute] = [_file_route(file) for file in page_files()]
    routes += [
        WebSocketRoute("/live/{number:camera}", Live(served.cameras, served.places).serve),
        Route("/stream/{number:camera}.mjpg", pictures.stream),
        Route("/snapshot/{number:camera}.jpg", pictures.snapshot),
        Route("/api/stats", numbers.stats),
        Route("/metrics", numbers.metrics),
        Route("/healthz", numbers.health),
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: _refused})


def _file_route(file: PageFile) -> Route:
    async def answer(request: Request) -> Response:
        if "token" in request.query_params:  # out of the address bar, the history and screenshots
            return RedirectResponse(file.path, 303)
        return Response(file.content, media_type=file.media_type)

    return Route(file.path, answer)


async def _refused(_request: Request, error: Exception) -> Response:
    """Say what is wrong in one line, without repeating what was asked for."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    words = {404: "no such page", 405: "only GET is answered here"}
    text = words.get(status, getattr(error, "detail", "something went wrong"))
    return JSONResponse({"error": text}, status)


class _Pictures:
    """Drawn pictures, one or many."""

    def __init__(self, served: Served) -> None:
        self._served = served

    async def snapshot(self, request: Request) -> Response:
        """Answer the last picture with its classes drawn over it."""
        jpeg = await asyncio.to_thread(self._camera(request).pictures.snapshot)
        if jpeg is None:
            raise HTTPException(503, "this camera has shown no picture yet")
        return Response(jpeg, media_type="image/jpeg")

    async def stream(self, request: Request) -> Response:
        """Answer pictures without an end, for players that know nothing but MJPEG."""
        camera = self._camera(request)
        media_type = f"multipart/x-mixed-replace; boundary={_BOUNDARY}"
        if request.method == "HEAD":
            return Response(media_type=media_type)
        # The buffers of the connection hold one more than we see.
        viewer = Viewer(client_of(request.scope), window=1)
        if not self._served.places.take(viewer):
            limit = self._served.places.limit
            raise HTTPException(503, f"{limit} viewers are watching, no more are let in")
        camera.pictures.drawn.join(viewer)

        def leave() -> None:
            camera.pictures.drawn.leave(viewer)
            self._served.places.give_back(viewer)

        return _Watched(_parts(camera, viewer), media_type, leave)

    def _camera(self, request: Request) -> Camera:
        number = request.path_params["number"]
        camera = next((one for one in self._served.cameras() if one.number == number), None)
        if camera is None:
            raise HTTPException(404)
        return camera


async def _parts(camera: Camera, viewer: Viewer) -> AsyncIterator[bytes]:
    first = await asyncio.to_thread(camera.pictures.snapshot)
    if first is not None:
        viewer.offer(first)
    while (jpeg := await viewer.take()) is not None:
        head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}"
        yield b"".join((head.encode(), b"\r\n\r\n", jpeg, b"\r\n"))
        viewer.answer()  # the connection has taken it


class _Watched(StreamingResponse):
    """A stream that tells when it has ended, also one that never began."""

    def __init__(
        self, parts: AsyncIterator[bytes], media_type: str, leave: Callable[[], None]
    ) -> None:
        super().__init__(parts, media_type=media_type)
        self._leave = leave

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._leave()


class _Numbers:
    """What programs ask for."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._metrics = Metrics(served.cameras)

    async def stats(self, _request: Request) -> Response:
        """Answer all that is known of every camera."""
        return JSONResponse({"cameras": [one.describe() for one in self._served.cameras()]})

    async def metrics(self, request: Request) -> Response:
        """Answer the same for Prometheus."""
        body, content_type = self._metrics.exposed(request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": content_type})

    async def health(self, _request: Request) -> Response:
        """Answer 200 while every camera shows pictures; else 503, and which does not, and why."""
        cameras: list[dict[str, Any]] = []
        for camera in self._served.cameras():
            condition = camera.condition()
            cameras.append(
                {
                    "number": camera.number,
                    "source": camera.source,
                    "state": condition.state,
                    "reason": condition.reason,
                    "seconds": round(condition.since, 1),
                }
            )
        healthy = bool(cameras) and all(one["state"] == "live" for one in cameras)
        body = json.dumps({"healthy": healthy, "cameras": cameras})
        return Response(body, 200 if healthy else 503, media_type="application/json")
