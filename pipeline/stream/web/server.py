"""The page, whose server runs in its own thread."""

from __future__ import annotations

import errno
import logging
import os
import secrets
import socket
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from models.install import install_extra
from pipeline.errors import RuntimeMissingError, SinkError
from pipeline.stream.sinks.base import Sink, SinkOptions
from pipeline.stream.web.camera import Camera
from pipeline.stream.web.options import HttpOptions
from pipeline.stream.web.sink import PageSink

if TYPE_CHECKING:
    from pipeline.stream.web.running import Running

log = logging.getLogger(__name__)

#: Bytes of a connection's send buffer: pictures that wait in a larger one would arrive late.
_SEND_BUFFER = 256 * 1024


class Page(AbstractContextManager["Page"]):
    """One page for all cameras, with a tab for each; the server starts with the first camera."""

    def __init__(self, options: HttpOptions | None = None) -> None:
        self._options = options or HttpOptions()
        self._token = self._options.token
        if self._token is None and not self._options.is_private:
            self._token = secrets.token_urlsafe(16)
        self._cameras: tuple[Camera, ...] = ()
        self._running: Running | None = None
        self._port = self._options.port
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """Address for a browser, with the token if there is one."""
        host = _reachable(self._options.host)
        if ":" in host:
            host = f"[{host}]"
        token = f"?token={self._token}" if self._token else ""
        return f"http://{host}:{self._port}/{token}"

    def open(self) -> None:
        """Start the server, unless it runs; returns when it answers.

        Raises:
            RuntimeMissingError: the packages of the extra ``page`` are not installed.
            SinkError: the port is taken, or this machine does not have the address.
        """
        with self._lock:
            if self._running is not None:
                return
            try:
                from pipeline.stream.web.running import Running
            except ImportError as error:
                raise RuntimeMissingError(
                    f"the page needs a package that is not installed ({error.name}); "
                    f"run: {install_extra('page')}"
                ) from error
            listener = _listen(self._options)
            self._port = listener.getsockname()[1]
            self._running = Running(listener, lambda: self._cameras, self._options, self._token)
        log.info("the page is at %s", self.url)

    def sink(self, options: SinkOptions | None = None) -> Sink:
        """Add a camera with its tab, and return its sink; starts the server if needed.

        Raises:
            RuntimeMissingError, SinkError: as ``open``.
        """
        options = options or SinkOptions()
        self.open()
        width = self._options.limits.width
        with self._lock:
            number = len(self._cameras) + 1
            source = options.source or f"camera {number}"
            camera = Camera(number, source, options.drawn or options.classes, width, self._post)
            self._cameras = (*self._cameras, camera)
        return PageSink(camera, self.url)

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections and stop listening, within a second."""
        with self._lock:
            running, self._running = self._running, None
        if running is not None:
            running.stop()

    def _post(self, call: Callable[[], None]) -> None:
        if (running := self._running) is not None:
            running.post(call)


def _listen(options: HttpOptions) -> socket.socket:
    """Bind in the caller's thread, so that an error is raised there."""
    host, port = options.host, options.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            if os.name == "posix":  # a port that was used a minute ago is free
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
            listener.bind(address)
            listener.listen(64)
        except OSError:
            listener.close()
            raise
    except (OSError, UnicodeError) as error:  # UnicodeError: not a valid host name
        raise SinkError(_why(error, host, port)) from error
    return listener


def _why(error: OSError | UnicodeError, host: str, port: int) -> str:
    number = getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        return (
            f"port {port} on {host} is in use; stop what listens there, or choose another with "
            "--http-port (0: any free one)"
        )
    if number == errno.EACCES:
        return f"port {port} is reserved for the system; choose one from 1024 with --http-port"
    reason = getattr(error, "strerror", None) or str(error)
    return (
        f"the page cannot listen on {host} ({reason}); give --http-host an address of this "
        "machine, 127.0.0.1 or 0.0.0.0"
    )


def _reachable(host: str) -> str:
    """Return an address for a browser; if the server listens on all addresses, one of them."""
    if host not in {"0.0.0.0", "::", ""}:
        return host
    # Connecting a datagram socket sends nothing; it only selects the local address.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"
