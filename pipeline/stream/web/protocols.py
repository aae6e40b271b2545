"""uvicorn's protocols with an end to waiting: for a request, for a reader, for a message's rest.

uvicorn waits for ever for the head of a first request and for a peer to read what it was sent, and
collects the pieces of a message without counting them (docs/decisions/018-page-server.md).
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
    """Settings of uvicorn, and what its connections are counted by.

    Args:
        app: that is served.
        connections: all of the server.
        limits: of time.
        settings: uvicorn's own.
    """

    def __init__(self, app: Any, connections: Connections, limits: Limits, **settings: Any) -> None:
        super().__init__(app, http=HttpProtocol, ws=WebSocketProtocol, **settings)
        self.connections = connections
        self.limits = limits


class _Timer:
    """One moment at which something is done, unless it is put off."""

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
    """HTTP/1.1 in which a request arrives whole and soon, and an answer is read, or it ends."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, or close it where there are too many."""
        super().connection_made(transport)
        config = cast(LimitedConfig, self.config)
        self._request_due = _Timer(config.limits.request_seconds, transport.abort)
        self._stalled = _Timer(config.limits.stall_seconds, transport.abort)
        if not config.connections.open(_client(self), transport.abort):
            transport.abort()
            return
        self._request_due.start()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give its place back."""
        super().connection_lost(exc)
        cast(LimitedConfig, self.config).connections.close(_client(self))
        self._request_due.stop()
        self._stalled.stop()

    def data_received(self, data: bytes) -> None:
        """Take bytes; those of half a request do not put off its end."""
        try:
            super().data_received(data)
        except Exception as error:  # of a library, about what the other side sent
            _end_for(error, self.transport)
        if self.cycle is not None and not self.cycle.response_complete:
            self._request_due.stop()

    def handle_websocket_upgrade(self, event: Any) -> None:
        """Hand over; the place stays taken."""
        self._request_due.stop()
        self._stalled.stop()
        super().handle_websocket_upgrade(event)

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._request_due.start()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Wait for a reader."""
        super().pause_writing()
        self._stalled.start()

    def resume_writing(self) -> None:
        """Go on: it has read."""
        super().resume_writing()
        self._stalled.stop()


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """A WebSocket whose messages come in one piece, and whose pictures are read, or it ends."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over what began as HTTP."""
        super().connection_made(transport)
        limits = cast(LimitedConfig, self.config).limits
        self._stalled = _Timer(limits.stall_seconds, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give its place back."""
        super().connection_lost(exc)
        cast(LimitedConfig, self.config).connections.close(_client(self))
        self._stalled.stop()

    def data_received(self, data: bytes) -> None:
        """Take frames."""
        try:
            super().data_received(data)
        except Exception as error:  # of a library, about what the other side sent
            _end_for(error, self.transport)

    def pause_writing(self) -> None:
        """Wait for a reader; until then none of its pings is answered, nor kept."""
        super().pause_writing()
        self._stalled.start()
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on: it has read."""
        super().resume_writing()
        self._stalled.stop()
        if not self.read_paused:
            self.transport.resume_reading()

    def handle_text(self, event: Frame) -> None:
        """Take a message, or refuse its first piece."""
        if self._is_whole(event):
            super().handle_text(event)

    def handle_bytes(self, event: Frame) -> None:
        """Take a message, or refuse its first piece."""
        if self._is_whole(event):
            super().handle_bytes(event)

    def _is_whole(self, event: Frame) -> bool:
        """Whether a message is in this frame; without first pieces no later ones are valid."""
        if event.fin:
            return True
        if not self.close_sent:
            self.conn.fail(CloseCode.POLICY_VIOLATION, "a message comes in one frame")
            self.handle_parser_exception()
        return False

    def handle_cont(self, event: Frame) -> None:
        """Drop what follows a first piece that was refused."""


def _client(protocol: HttpProtocol | WebSocketProtocol) -> Client:
    return protocol.client or ("", 0)


def _end_for(error: Exception, transport: asyncio.Transport) -> None:
    log.debug("a connection ends for what it sent", exc_info=error)
    log.warning("a connection was closed for what it sent (%s)", type(error).__name__)
    transport.abort()
