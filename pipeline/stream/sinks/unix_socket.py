"""Class maps for other processes on this machine, through a Unix socket (``stream.ipc.wire``)."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

from pipeline.errors import OutputError, SinkError
from pipeline.stream.frame import Result
from pipeline.stream.ipc.wire import pack_frame, pack_greeting
from pipeline.stream.queues import LatestValueQueue
from pipeline.stream.sinks.base import Sink, SinkOptions

log = logging.getLogger(__name__)

_PREFIX = "socket:"
#: Readers at the same time; further ones are refused.
_MOST = 16
#: Seconds for which a reader may read nothing before it is disconnected.
_PATIENCE = 10.0
#: Seconds until it accepts again when the system has no file descriptors left.
_PAUSE = 0.5
#: Seconds for sending the last frame at the end.
_LAST_FRAME = 0.5


def matches(text: str) -> bool:
    """``socket:PATH``."""
    return text.startswith(_PREFIX)


def open_unix_socket(text: str, options: SinkOptions) -> Sink:
    """Listen at a path.

    Raises:
        OutputError: another file has that name, or another stream listens there.
        SinkError: this system has no Unix sockets.
    """
    return UnixSocketSink(Path(text.removeprefix(_PREFIX)).expanduser(), options)


class UnixSocketSink(Sink):
    """Sends each reader the newest class map as soon as it has read the one before.

    A slow reader misses frames, as it can see by their index, and does not slow the stream. Only
    the user who runs the stream may connect. Without readers nothing is packed.
    """

    may_drop = True

    def __init__(self, path: Path, options: SinkOptions) -> None:
        super().__init__("socket")
        self._path = path
        self._greeting = pack_greeting(options.source, options.classes)
        self._readers: set[_Reader] = set()
        self._lock = threading.Lock()
        self._listener = _listen(path)
        self._inode = path.stat().st_ino
        self._closing = threading.Event()
        self._accepting = threading.Thread(
            target=self._accept, name="roadseg-socket-accept", daemon=True
        )
        self._accepting.start()

    def close(self) -> None:
        """Disconnect the readers, and remove the socket."""
        super().close()
        self._closing.set()
        with contextlib.suppress(OSError):  # closed before
            self._listener.shutdown(socket.SHUT_RDWR)  # ends ``accept``
        self._accepting.join(1.0)
        self._listener.close()
        with self._lock:
            readers = list(self._readers)
        for reader in readers:
            reader.frames.close()
        for reader in readers:
            reader.join()
        # Another stream may have made its socket here in the meantime.
        if self._path.exists() and self._path.stat().st_ino == self._inode:
            self._path.unlink()

    def _write(self, result: Result) -> None:
        with self._lock:
            readers = list(self._readers)
        if readers:
            message = pack_frame(result)
            for reader in readers:
                reader.frames.put(message)

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError as error:  # closed, or out of file descriptors for now
                if not self._closing.wait(_PAUSE):
                    log.warning("%s accepts no readers for now (%s)", self._path, error.strerror)
                continue
            with self._lock:
                if len(self._readers) < _MOST:
                    self._readers.add(_Reader(connection, self._greeting, self._forget))
                    continue
            connection.close()
            log.warning("%s has %d readers and accepts no more", self._path, _MOST)

    def _forget(self, reader: _Reader) -> None:
        with self._lock:
            self._readers.discard(reader)


class _Reader:
    """One connection, whose own thread sends the newest of ``frames``."""

    def __init__(
        self, connection: socket.socket, greeting: bytes, gone: Callable[[_Reader], None]
    ) -> None:
        self._connection = connection
        self._greeting = greeting
        self._gone = gone
        self.frames: LatestValueQueue[bytes] = LatestValueQueue()
        connection.settimeout(_PATIENCE)
        self._thread = threading.Thread(target=self._serve, name="roadseg-socket", daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait for the end; disconnect a reader that does not read."""
        self._thread.join(_LAST_FRAME)
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(_LAST_FRAME)

    def _serve(self) -> None:
        try:
            self._connection.sendall(self._greeting)
            for message in self.frames:
                self._connection.sendall(message)
        except OSError as error:  # it left, or does not read
            log.debug("a reader of the socket was disconnected: %s", error)
        finally:
            self.frames.cancel()
            self._connection.close()
            self._gone(self)


def _listen(path: Path) -> socket.socket:
    if not hasattr(socket, "AF_UNIX"):
        raise SinkError("this system has no Unix sockets; use --sink http and its /stream instead")
    if path.exists():
        if not path.is_socket():
            raise OutputError(f"{path} exists and is no socket; choose another name")
        if _answers(path):
            raise OutputError(f"another stream listens at {path}; choose another name")
        path.unlink()  # of a stream that was killed
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        listener.bind(str(path))
        os.chmod(path, 0o600)
        listener.listen(_MOST)
    except OSError as error:
        listener.close()
        raise OutputError(
            f"cannot listen at {path} ({error.strerror or error}); choose a shorter path "
            "(107 bytes at most) in a folder that you may write to"
        ) from error
    return listener


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
