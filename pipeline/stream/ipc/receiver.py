"""Reads class maps of ``--sink socket:PATH`` in another process."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from pipeline.errors import SourceError
from pipeline.stream.ipc.wire import Greeting, Segmented, read_message


class Receiver(AbstractContextManager["Receiver"]):
    """Iterate over the frames of a running stream; a slow reader gets the newest and misses some.

    ::

        with Receiver("/run/roadseg.sock") as frames:
            for frame in frames:
                drive(frame.classes == frames.names.index("Road"))

    Args:
        path: of the socket.
        timeout: longest time in seconds between two frames; None for no limit.

    Attributes:
        source: name of the camera.
        names: of the classes, by index.
        palette: their (red, green, blue) colours.

    Raises:
        SourceError: no stream listens there, or another program does.
    """

    def __init__(self, path: str | Path, timeout: float | None = None) -> None:
        self._path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        self._file = self._socket.makefile("rb")
        try:
            self._socket.connect(self._path)
            greeting = read_message(self._file.read)
            if not isinstance(greeting, Greeting):
                raise SourceError(f"{self._path} ends before its greeting; it may be closing")
        except OSError as error:
            self.close()
            raise SourceError(
                f"{self._path} does not answer ({error.strerror or error}); "
                f"start a stream with --sink socket:{self._path}"
            ) from error
        except BaseException:
            self.close()
            raise
        self.source = greeting.source
        self.names = greeting.names
        self.palette = greeting.palette

    def __iter__(self) -> Iterator[Segmented]:
        """Yield frames until the stream ends.

        Raises:
            SourceError: no frame came within the time-out, or one is damaged.
        """
        while True:
            try:
                message = read_message(self._file.read)
            except TimeoutError as error:
                raise SourceError(
                    f"{self._path} gave no frame for {self._socket.gettimeout():g} s; "
                    "look at the camera, or give a longer timeout"
                ) from error
            except OSError:  # the stream was killed
                return
            if message is None:
                return
            if isinstance(message, Segmented):
                yield message

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect; calling it again does nothing."""
        self._file.close()
        self._socket.close()
