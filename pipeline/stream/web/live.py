"""The WebSocket of a browser: pictures and figures go out, acknowledgements come back."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from pipeline.stream.web.camera import Camera, camera_of
from pipeline.stream.web.connections import client_of
from pipeline.stream.web.viewers import Viewer, ViewerPlaces

#: Seconds between two messages with figures.
_NUMBERS_EVERY = 0.5
#: Acknowledgements per second; a browser sends one per picture.
_MOST_ANSWERS = 300

# Our own close codes; the page shows a text for each.
_NO_CAMERA = 4404
_FULL = 4503
_TOO_FAST = 4429
_GOING_AWAY = 1001


class Live:
    """Serves WebSockets.

    To the browser: first text ``{"hello": {"classes": [{"name", "colour"}]}}``, then binary
    messages (``encoding.parts_of``) and, twice a second, text ``{"cameras": [...], "camera":
    {...}, "yours": {"sent", "dropped"}}``. From the browser: a short text, whatever it says, for
    each picture that it has shown.
    """

    def __init__(self, cameras: Callable[[], Sequence[Camera]], places: ViewerPlaces) -> None:
        self._cameras = cameras
        self._places = places

    async def serve(self, socket: WebSocket) -> None:
        """Serve one browser until either side ends it."""
        await socket.accept()
        camera = camera_of(self._cameras(), socket.path_params["number"])
        if camera is None:
            await socket.close(_NO_CAMERA)
            return
        viewer = Viewer(client_of(socket.scope))
        if not self._places.take(viewer):
            await socket.close(_FULL)
            return
        try:
            await self._watch(socket, camera, viewer)
        finally:
            self._places.give_back(viewer)

    async def _watch(self, socket: WebSocket, camera: Camera, viewer: Viewer) -> None:
        camera.pictures.parts.join(viewer)
        answers = asyncio.create_task(_read_answers(socket, viewer))
        try:
            await socket.send_text(_hello(camera))
            first = await asyncio.to_thread(camera.pictures.current_parts)
            if first is not None:
                viewer.offer(first)
            await self._send(socket, camera, viewer)
            await socket.close(answers.result() if answers.done() else _GOING_AWAY)
        except (WebSocketDisconnect, RuntimeError):
            pass  # it left while something was being sent
        finally:
            camera.pictures.parts.leave(viewer)
            answers.cancel()

    async def _send(self, socket: WebSocket, camera: Camera, viewer: Viewer) -> None:
        due = time.monotonic()
        while not viewer.ended:
            if time.monotonic() >= due:
                await socket.send_text(self._numbers(camera, viewer))
                due = time.monotonic() + _NUMBERS_EVERY
            picture = await viewer.take(due - time.monotonic())
            if picture is not None:
                await socket.send_bytes(picture)

    def _numbers(self, camera: Camera, viewer: Viewer) -> str:
        tabs = []
        for one in self._cameras():
            condition = one.condition()
            tabs.append({"number": one.number, "source": one.source, "state": condition.state})
        message: dict[str, Any] = {
            "cameras": tabs,
            "camera": camera.describe(),
            "yours": {"sent": viewer.sent, "dropped": viewer.dropped},
        }
        return json.dumps(message, separators=(",", ":"))


def _hello(camera: Camera) -> str:
    classes = [
        {"name": name, "colour": colour}
        for name, colour in zip(camera.classes.names, camera.classes.palette, strict=True)
    ]
    return json.dumps({"hello": {"number": camera.number, "classes": classes}})


async def _read_answers(socket: WebSocket, viewer: Viewer) -> int:
    """Read acknowledgements until the browser leaves; return the close code."""
    began, count = time.monotonic(), 0
    try:
        while True:
            await socket.receive_text()
            viewer.answer()
            count += 1
            if time.monotonic() - began > 1:
                began, count = time.monotonic(), 0
            elif count > _MOST_ANSWERS:
                return _TOO_FAST
    except (WebSocketDisconnect, KeyError):  # KeyError: bytes where text belongs
        return _GOING_AWAY
    finally:
        viewer.end()
