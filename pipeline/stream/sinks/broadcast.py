"""Drawn frames as video over the network, to a player or a media server."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from pipeline.errors import RuntimeMissingError, SinkError
from pipeline.stream.frame import Result
from pipeline.stream.redact import without_password
from pipeline.stream.sinks.base import MediaTime, Sink, SinkOptions
from pipeline.stream.sinks.encoder import VideoFormat, even

if TYPE_CHECKING:
    from pipeline.stream.sinks.encoder_av import AvVideo

#: FFmpeg's format by scheme. RTSP is pushed (ANNOUNCE, RECORD) to a server, over TCP, since of the
#: many datagrams of a large key frame some would be lost; UDP carries an MPEG transport stream.
_FORMATS = {"rtsp": "rtsp", "udp": "mpegts"}
_OPTIONS = {
    "rtsp": {"rtsp_transport": "tcp", "timeout": "3000000"},
    "udp": {"pkt_size": "1316"},
}


def matches(text: str) -> bool:
    """``rtsp://`` or ``udp://``."""
    return _scheme(text) in _FORMATS


def numbered(text: str, number: int) -> str:
    """Address for one of several cameras: with its own name (RTSP) or port (UDP)."""
    if _scheme(text) == "rtsp":
        return f"{text}-{number}"
    address, _, port = text.partition("?")[0].rpartition(":")
    if not port.isdigit():
        raise SinkError(f"{text} has no port; give one such as udp://127.0.0.1:5000")
    return f"{address}:{int(port) + number - 1}"


def open_broadcast(text: str, options: SinkOptions) -> Sink:
    """Prepare to send to a URL; it connects at the first frame, when the size is known.

    Raises:
        RuntimeMissingError: PyAV is not installed.
    """
    try:
        import av  # noqa: F401
    except ImportError as error:
        raise RuntimeMissingError(
            "sending video over the network needs PyAV, which is not installed; run: pip install av"
        ) from error
    return BroadcastSink(text, options)


class BroadcastSink(Sink):
    """H.264 without delayed frames; frames of another size than the first are resized to it.

    Args:
        url: ``rtsp://SERVER/NAME`` or ``udp://ADDRESS:PORT``.
        options: rate of the source.
    """

    wants_overlay = True
    may_drop = True

    def __init__(self, url: str, options: SinkOptions) -> None:
        super().__init__("broadcast")
        self._url = url
        self._time = MediaTime(options.fps, options.live)
        self._video: AvVideo | None = None
        self._size = (0, 0)

    def _write(self, result: Result) -> None:
        image = self._overlay_of(result)
        if self._video is None:
            self._size = (image.shape[1], image.shape[0])
            self._video = self._connect(VideoFormat.of(self._size, self._time.fps))
        self._video.add(even(image, self._size), self._time.seconds(result.frame))

    def _connect(self, form: VideoFormat) -> AvVideo:
        import av

        from pipeline.stream.sinks.encoder_av import AvVideo, os_errors

        scheme = _scheme(self._url)
        with os_errors():
            container = av.open(self._url, "w", format=_FORMATS[scheme], options=_OPTIONS[scheme])
        return AvVideo(container, form, low_delay=True)

    def _error(self, error: OSError) -> SinkError:
        return SinkError(
            f"{without_password(self._url)} takes no video after {self.written} frames "
            f"({error.strerror or error}); check the address and that the server lets streams in"
        )

    def _finish(self) -> None:
        if self._video is not None:
            video, self._video = self._video, None
            video.close()

    def _discard(self) -> None:
        with contextlib.suppress(OSError):  # the connection may have failed before
            self._finish()


def _scheme(url: str) -> str:
    return url.split("://", 1)[0].lower() if "://" in url else ""
