"""The routes of the page: files, pictures and figures. Imported when a page is opened."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import Receive, Scope, Send

from pipeline.stream.web.camera import Camera, camera_of
from pipeline.stream.web.connections import client_of
from pipeline.stream.web.live import Live
from pipeline.stream.web.metrics import Metrics
from pipeline.stream.web.viewers import Viewer, ViewerPlaces

_BOUNDARY = "roadseg-frame"
_FILES = Path(__file__).parent / "static"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class _CameraNumber(Convertor[int]):
    """A camera's number; four digits at most, since Python refuses very long ones."""

    regex = "[0-9]{1,4}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


register_url_convertor("camera", _CameraNumber())


def make_app(cameras: Callable[[], Sequence[Camera]], places: ViewerPlaces) -> Starlette:
    """Return the application without its access control.

    Args:
        cameras: returns all so far.
        places: for viewers of all cameras together.
    """
    pictures = _Pictures(cameras, places)
    numbers = _Numbers(cameras)
    # The files are read once, so no path of a request ever reaches the file system.
    routes: list[BaseRoute] = [
        _file_route(file) for file in sorted(_FILES.iterdir()) if file.suffix in _TYPES
    ]
    routes += [
        WebSocketRoute("/live/{number:camera}", Live(cameras, places).serve),
        Route("/stream/{number:camera}.mjpg", pictures.stream),
        Route("/snapshot/{number:camera}.jpg", pictures.snapshot),
        Route("/api/stats", numbers.stats),
        Route("/metrics", numbers.metrics),
        Route("/healthz", numbers.health),
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: _refused})


def _file_route(file: Path) -> Route:
    path = "/" if file.name == "index.html" else f"/static/{file.name}"
    content = file.read_bytes()

    async def answer(request: Request) -> Response:
        if "token" in request.query_params:  # removes it from address bar, history and screenshots
            return RedirectResponse(path, 303)
        return Response(content, media_type=_TYPES[file.suffix])

    return Route(path, answer)


async def _refused(_request: Request, error: Exception) -> Response:
    """Answer with an error in one line, without repeating any part of the request."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    words = {404: "no such page", 405: "only GET is answered here"}
    text = words.get(status, getattr(error, "detail", "something went wrong"))
    return JSONResponse({"error": text}, status)


class _Pictures:
    """Pictures with the classes drawn over them: the last one, or a stream."""

    def __init__(self, cameras: Callable[[], Sequence[Camera]], places: ViewerPlaces) -> None:
        self._cameras = cameras
        self._places = places

    async def snapshot(self, request: Request) -> Response:
        jpeg = await asyncio.to_thread(self._camera(request).pictures.snapshot)
        if jpeg is None:
            raise HTTPException(503, "this camera has shown no picture yet")
        return Response(jpeg, media_type="image/jpeg")

    async def stream(self, request: Request) -> Response:
        """Answer an endless MJPEG stream, for players that cannot show the page."""
        camera = self._camera(request)
        media_type = f"multipart/x-mixed-replace; boundary={_BOUNDARY}"
        if request.method == "HEAD":
            return Response(media_type=media_type)
        # One, since the buffers of the connection hold another picture.
        viewer = Viewer(client_of(request.scope), window=1)
        if not self._places.take(viewer):
            limit = self._places.limit
            raise HTTPException(503, f"{limit} viewers are watching, no more are let in")
        camera.pictures.drawn.join(viewer)

        def leave() -> None:
            camera.pictures.drawn.leave(viewer)
            self._places.give_back(viewer)

        return _Watched(_parts(camera, viewer), media_type, leave)

    def _camera(self, request: Request) -> Camera:
        camera = camera_of(self._cameras(), request.path_params["number"])
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
    """A streaming response that calls ``leave`` when it ends, even before its first byte."""

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
    """Figures for programs."""

    def __init__(self, cameras: Callable[[], Sequence[Camera]]) -> None:
        self._cameras = cameras
        self._metrics = Metrics(cameras)

    async def stats(self, _request: Request) -> Response:
        return JSONResponse({"cameras": [one.describe() for one in self._cameras()]})

    async def metrics(self, request: Request) -> Response:
        body, content_type = self._metrics.exposed(request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": content_type})

    async def health(self, _request: Request) -> Response:
        """Answer 200 while every camera shows pictures, else 503, with the state of each camera."""
        cameras: list[dict[str, Any]] = []
        for camera in self._cameras():
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
