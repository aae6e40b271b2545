"""uvicorn in a thread: listening, or stopped and gone. Imported when a page is opened."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable, Sequence

import prometheus_client  # noqa: F401  (a missing package is to be found before the thread starts)
import uvicorn
import websockets  # noqa: F401

from pipeline.errors import SinkError
from pipeline.stream.web.access_control import AccessControl
from pipeline.stream.web.app import Served, make_app
from pipeline.stream.web.camera import Camera
from pipeline.stream.web.options import HttpOptions
from pipeline.stream.web.viewers import ConnectionLimit

log = logging.getLogger(__name__)

_START_TIMEOUT = 10.0
_STOP_TIMEOUT = 2.0
#: Seconds that connections get for their last words.
_FAREWELL = 0.1
#: Bytes of one message from a browser; an answer has one.
_LONGEST_ANSWER = 64


class Running:
    """A server that listens.

    Args:
        listener: bound socket; taken over.
        cameras: all so far.
        options: limits, and whether only this machine may ask.
        token: that a visitor has to know.

    Raises:
        SinkError: it did not start.
    """

    def __init__(
        self,
        listener: socket.socket,
        cameras: Callable[[], Sequence[Camera]],
        options: HttpOptions,
        token: str | None,
    ) -> None:
        app = make_app(Served(cameras, ConnectionLimit(options.limits.viewers)))
        access = AccessControl(app, options.is_private, token, options.limits)
        self._server = _Server(_config(access, options), cameras)
        self._listener = listener
        self._thread = threading.Thread(target=self._run, name="roadseg-page", daemon=True)
        self._thread.start()
        if not self._server.listening.wait(_START_TIMEOUT) or self._server.loop is None:
            raise SinkError("the page did not start; run again with --verbose for the reason")

    def post(self, call: Callable[[], None]) -> None:
        """Call a function on the event loop, soon, from any thread; nothing once it has ended."""
        loop = self._server.loop
        if loop is not None and not loop.is_closed():
            try:
                loop.call_soon_threadsafe(call)
            except RuntimeError:
                log.debug("the page closed in this moment")

    def stop(self) -> None:
        """End all connections and the thread."""
        self._server.should_exit = True
        self._thread.join(_STOP_TIMEOUT)
        if self._thread.is_alive():
            log.warning("left behind, still busy: %s", self._thread.name)

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._listener])
        except Exception:
            log.exception("the page has ended")
        finally:
            self._listener.close()
            self._server.listening.set()


def _config(app: AccessControl, options: HttpOptions) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="asyncio",
        http="h11",
        ws="websockets-sansio",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=options.limits.connections,
        h11_max_incomplete_event_size=16 * 1024,
        ws_max_size=_LONGEST_ANSWER,
        ws_per_message_deflate=False,  # pictures do not get smaller
        ws_ping_interval=5.0,
        ws_ping_timeout=10.0,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=1,
    )


class _Server(uvicorn.Server):
    """Says when it listens, and leaves nobody hanging when it ends."""

    def __init__(self, config: uvicorn.Config, cameras: Callable[[], Sequence[Camera]]) -> None:
        super().__init__(config)
        self.loop: asyncio.AbstractEventLoop | None = None
        self.listening = threading.Event()
        self._cameras = cameras

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.loop = asyncio.get_running_loop()
        self.listening.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for camera in self._cameras():
            camera.parts.end()
            camera.drawn.end()
        await asyncio.sleep(_FAREWELL)
        # A stalled browser never takes what is left for it: closing politely would wait for that.
        for connection in list(self.server_state.connections):
            if (transport := getattr(connection, "transport", None)) is not None:
                transport.abort()
        await asyncio.sleep(0)
        await super().shutdown(sockets)
