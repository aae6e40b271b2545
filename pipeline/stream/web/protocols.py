"""uvicorn's protocols with time-outs and without fragmented messages.

uvicorn waits for ever for the first request of a connection and for a client to read, and collects
the fragments of a message without a limit (docs/decisions/018-page-server.md).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame

from pipeline.stream.web.connections import Client, Connections
from pipeline.stream.web.options import Limits

log = logging.getLogger(__name__)


class LimitedConfig(uvicorn.Config):
    """uvicorn's ``settings``, and the counted connections and time limits of this server."""

    def __init__(self, app: Any, connections: Connections, limits: Limits, **settings: Any) -> None:
        super().__init__(app, http=HttpProtocol, ws=WebSocketProtocol, **settings)
        self.connections = connections
        self.limits = limits


class _Timer:
    """Calls ``action`` after ``seconds``, unless it is stopped or started again."""

    def __init__(self, seconds: float, action: Callable[[], object]) -> None:
        self._seconds = seconds
        self._action = action
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self.stop()
        self._handle = asyncio.get_running_loop().call_later(self._seconds, self._action)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None


class HttpProtocol(H11Protocol):
    """HTTP/1.1 that is closed if a request is not complete in time or an answer is not read."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the connection, or close it if there are too many."""
        super().connection_made(transport)
        config = cast(LimitedConfig, self.config)
        self._request_due = _Timer(config.limits.request_seconds, transport.abort)
        self._stalled = _Timer(config.limits.stall_seconds, transport.abort)
        if not config.connections.open(_client(self), transport.abort):
            transport.abort()
            return
        self._request_due.start()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        cast(LimitedConfig, self.config).connections.close(_client(self))
        self._request_due.stop()
        self._stalled.stop()

    def data_received(self, data: bytes) -> None:
        """Parse bytes; an incomplete request does not stop its time-out."""
        try:
            super().data_received(data)
        except Exception as error:  # raised by a library for what the client sent
            _end_for(error, self.transport)
        if self.cycle is not None and not self.cycle.response_complete:
            self._request_due.stop()

    def handle_websocket_upgrade(self, event: Any) -> None:
        """Hand over to the WebSocket; the connection stays counted."""
        self._request_due.stop()
        self._stalled.stop()
        super().handle_websocket_upgrade(event)

    def on_response_complete(self) -> None:
        self._request_due.start()
        super().on_response_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled.start()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stalled.stop()


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """A WebSocket that is closed if a message is fragmented or a picture is not read in time."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        limits = cast(LimitedConfig, self.config).limits
        self._stalled = _Timer(limits.stall_seconds, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        cast(LimitedConfig, self.config).connections.close(_client(self))
        self._stalled.stop()

    def data_received(self, data: bytes) -> None:
        try:
            super().data_received(data)
        except Exception as error:  # raised by a library for what the client sent
            _end_for(error, self.transport)

    def pause_writing(self) -> None:
        """Stop reading until the client reads, so that its pings are neither answered nor kept."""
        super().pause_writing()
        self._stalled.start()
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stalled.stop()
        if not self.read_paused:
            self.transport.resume_reading()

    def handle_text(self, event: Frame) -> None:
        if self._is_whole(event):
            super().handle_text(event)

    def handle_bytes(self, event: Frame) -> None:
        if self._is_whole(event):
            super().handle_bytes(event)

    def _is_whole(self, event: Frame) -> bool:
        """Whether a message is in one frame; otherwise close the connection."""
        if event.fin:
            return True
        if not self.close_sent:
            self.conn.fail(CloseCode.POLICY_VIOLATION, "a message comes in one frame")
            self.handle_parser_exception()
        return False

    def handle_cont(self, event: Frame) -> None:
        """Ignore the fragments after a first one that was refused."""


def _client(protocol: HttpProtocol | WebSocketProtocol) -> Client:
    return protocol.client or ("", 0)


def _end_for(error: Exception, transport: asyncio.Transport) -> None:
    log.debug("a client sent invalid data", exc_info=error)
    log.warning(
        "a connection was closed, since its client sent invalid data (%s)", type(error).__name__
    )
    transport.abort()
