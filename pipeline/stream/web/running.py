"""uvicorn in its own thread. Imported when a page is opened."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any

import prometheus_client  # noqa: F401  (if it is missing, that shows before the thread starts)
import uvicorn

from pipeline.errors import SinkError
from pipeline.stream.web.access_control import AccessControl
from pipeline.stream.web.app import make_app
from pipeline.stream.web.camera import Camera
from pipeline.stream.web.connections import Connections
from pipeline.stream.web.log_limit import LogLimit
from pipeline.stream.web.options import HttpOptions, Limits
from pipeline.stream.web.protocols import LimitedConfig
from pipeline.stream.web.viewers import ViewerPlaces

log = logging.getLogger(__name__)

_START_TIMEOUT = 10.0
_STOP_TIMEOUT = 2.0
#: Seconds that connections get to send their last message.
_FAREWELL = 0.1
#: Bytes of one message from a browser; an acknowledgement has one.
_LONGEST_ANSWER = 64
#: Bytes of a request's head: other services of the host may have set many cookies.
_LONGEST_HEAD = 64 * 1024
#: Connections accepted before the event loop reads from the others. In a flood of connections, a
#: client that sends its request at once is then read before a newer connection replaces it.
_ACCEPTED_AT_ONCE = 4
#: Connections that wait in the system until they are accepted.
_BACKLOG = 128
#: Loggers of what clients do.
_LOGGERS = ("uvicorn.error", "pipeline.stream.web.protocols", __name__)


class Running:
    """A server that listens.

    Args:
        listener: bound socket; closed at the end.
        cameras: returns all so far.
        options: of the page.
        token: password of the page; None for none.

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
        limits = options.limits
        connections = Connections(limits.connections, limits.connections_per_address)
        places = ViewerPlaces(limits.viewers, limits.viewers_per_address, connections.abort)
        app = make_app(cameras, places)
        access = AccessControl(app, options.is_private, token, limits, connections)
        self._server = _Server(_config(access, connections, limits), cameras)
        self._listener = listener
        self._thread = threading.Thread(target=self._run, name="roadseg-page", daemon=True)
        self._thread.start()
        if not self._server.listening.wait(_START_TIMEOUT) or self._server.loop is None:
            raise SinkError("the page did not start; run again with --verbose for the reason")

    def post(self, call: Callable[[], None]) -> None:
        """Call a function on the event loop, soon, from any thread; does nothing after its end."""
        loop = self._server.loop
        if loop is not None and not loop.is_closed():
            try:
                loop.call_soon_threadsafe(call)
            except RuntimeError:
                log.debug("the page was closed meanwhile")

    def stop(self) -> None:
        """End all connections and the thread."""
        self._server.should_exit = True
        self._thread.join(_STOP_TIMEOUT)
        if self._thread.is_alive():
            log.warning("no longer waiting for %s, which is still busy", self._thread.name)

    def _run(self) -> None:
        quiet = LogLimit()
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(quiet)
        try:
            self._server.run(sockets=[self._listener])
        except Exception:
            log.exception("the server of the page failed")
        finally:
            for name in _LOGGERS:
                logging.getLogger(name).removeFilter(quiet)
            self._listener.close()
            self._server.listening.set()


def _log(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log an error of the event loop, such as too few file descriptors, in one line."""
    error = context.get("exception")
    text = context.get("message", "a connection failed")
    log.debug("on the page's event loop: %s", text, exc_info=error)
    log.warning("on the page's event loop: %s (%s)", text, "no reason" if error is None else error)


def _config(access: AccessControl, connections: Connections, limits: Limits) -> LimitedConfig:
    return LimitedConfig(
        access,
        connections,
        limits,
        loop="asyncio",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_ACCEPTED_AT_ONCE,
        h11_max_incomplete_event_size=_LONGEST_HEAD,
        ws_max_size=_LONGEST_ANSWER,
        ws_per_message_deflate=False,  # pictures are compressed already
        ws_ping_interval=5.0,
        ws_ping_timeout=10.0,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=1,
    )


class _Server(uvicorn.Server):
    """Sets ``listening`` when it listens, and closes all connections at its end."""

    def __init__(self, config: uvicorn.Config, cameras: Callable[[], Sequence[Camera]]) -> None:
        super().__init__(config)
        self.loop: asyncio.AbstractEventLoop | None = None
        self.listening = threading.Event()
        self._cameras = cameras

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(_BACKLOG)  # asyncio uses ``backlog`` for both numbers
        self.loop = asyncio.get_running_loop()
        self.loop.set_exception_handler(_log)
        self.listening.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for camera in self._cameras():
            camera.pictures.parts.end()
            camera.pictures.drawn.end()
        await asyncio.sleep(_FAREWELL)
        # Not ``close``, which would wait until a stalled browser has read everything.
        for connection in list(self.server_state.connections):
            if (transport := getattr(connection, "transport", None)) is not None:
                transport.abort()
        await asyncio.sleep(0)
        await super().shutdown(sockets)
