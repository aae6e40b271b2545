"""The server of the page, in a thread of its own."""

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

#: Bytes that the system may hold per connection; what waits there is old when it arrives.
_SEND_BUFFER = 256 * 1024


class Page(AbstractContextManager["Page"]):
    """One page for all cameras, one tab each.

    Nothing is opened before the first camera: a program may make one and never need it.

    Args:
        options: where and to whom.
    """

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
        """Address for a browser, with the token in it where one is needed."""
        host = _reachable(self._options.host)
        if ":" in host:
            host = f"[{host}]"
        token = f"?token={self._token}" if self._token else ""
        return f"http://{host}:{self._port}/{token}"

    def open(self) -> None:
        """Listen; returns when a browser would be answered. Again: does nothing.

        Raises:
            RuntimeMissingError: the packages of the extra ``page`` are not installed.
            SinkError: the port is taken, or the address is none of this machine.
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
        """Add a camera: a tab, and the sink that feeds it. Opens the page if it is not yet.

        Raises:
            RuntimeMissingError, SinkError: as ``open``.
        """
        return PageSink(self._add(options or SinkOptions()), self.url)

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Send everybody home and stop listening, within a second."""
        with self._lock:
            running, self._running = self._running, None
        if running is not None:
            running.stop()

    def _add(self, options: SinkOptions) -> Camera:
        self.open()
        width = self._options.limits.width
        with self._lock:
            number = len(self._cameras) + 1
            source = options.source or f"camera {number}"
            camera = Camera(number, source, options.drawn or options.classes, width, self._post)
            self._cameras = (*self._cameras, camera)
        return camera

    def _post(self, call: Callable[[], None]) -> None:
        if (running := self._running) is not None:
            running.post(call)


def _listen(options: HttpOptions) -> socket.socket:
    """Bind in the caller's thread, where an error finds its user."""
    host, port = options.host, options.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            if os.name == "posix":  # a port that was ours a minute ago is free
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
            listener.bind(address)
            listener.listen(64)
        except OSError:
            listener.close()
            raise
    except (OSError, UnicodeError) as error:  # UnicodeError: a name that no host can have
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
    """An address to put into a browser: listening on all of them, one of them."""
    if host not in {"0.0.0.0", "::", ""}:
        return host
    # Connecting a datagram socket sends nothing; it only picks the address that would be used.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"
