"""The drawn frames as a video."""

from __future__ import annotations

import logging
from pathlib import Path

from pipeline.errors import OutputError
from pipeline.frame import Result
from pipeline.stream.sinks.base import MediaTime, Sink, SinkOptions
from pipeline.stream.sinks.encoder import Encoder, VideoFormat, even, plays
from pipeline.stream.sinks.output_file import OutputFile
from pipeline.stream.sinks.segments import SegmentedVideo

log = logging.getLogger(__name__)


def matches(text: str) -> bool:
    """A file name that ends in ``.mp4`` or ``.mkv``."""
    return Path(text).suffix.lower() in {".mp4", ".mkv"}


def open_video_sink(text: str, options: SinkOptions) -> Sink:
    """Open a video by its path, or a row of them where segments are asked for."""
    path = Path(text).expanduser()
    if not _is_utf8(path):
        raise OutputError(
            f"{path} is no UTF-8, which video encoders want; give the video another name"
        )
    if options.segment is not None:
        return SegmentedVideo(path, options, VideoSink)
    return VideoSink(path, options)


def _is_utf8(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


class VideoSink(Sink):
    """Overlay video with the source's own timing.

    Frames of another size than the first are fitted into it, with black bars. An odd side grows by
    one pixel, the last one repeated, since video codecs halve the colour planes.

    Raises:
        OutputError: another file stands there, or the folder cannot be written.
    """

    wants_overlay = True

    def __init__(self, path: Path, options: SinkOptions) -> None:
        super().__init__("video", path)
        self._time = MediaTime(options)
        self._encoder_kind = _encoder_kind()
        self._encoder: Encoder | None = None
        self._size = (0, 0)
        self._make_room = options.make_room
        self._target = OutputFile(path, options.force)

    def _write(self, result: Result) -> None:
        image = self._overlay_of(result)
        if self._encoder is None:
            self._size = (image.shape[1], image.shape[0])
            form = VideoFormat.of(self._size, self._time.fps)
            self._encoder = self._encoder_kind(self._target.partial, form)
            if self._make_room is not None:
                self._encoder.make_room = self._make_room
        self._encoder.add(even(image, self._size), self._time.seconds(result.frame))

    def _finish(self) -> None:
        if self._encoder is not None:
            encoder, self._encoder = self._encoder, None
            encoder.close()
        self._target.commit()

    def _salvage(self) -> Path | None:
        self._close_quietly()
        if plays(self._target.partial):
            return self._target.keep()
        self._target.discard()
        return None

    def _leave(self) -> None:
        self._close_quietly()
        self._target.leave()

    def _discard(self) -> None:
        self._close_quietly()
        self._target.discard()

    def _close_quietly(self) -> None:
        if self._encoder is not None:
            encoder, self._encoder = self._encoder, None
            try:
                encoder.close()
            except OSError as error:
                log.debug("closing a video that failed: %s", error)


def _encoder_kind() -> type[Encoder]:
    """The best encoder that is installed."""
    try:
        from pipeline.stream.sinks.encoder_av import AvEncoder
    except ImportError:
        from pipeline.stream.sinks.encoder_opencv import OpenCvEncoder

        log.warning("PyAV is not installed: the video will not play in browsers; pip install av")
        return OpenCvEncoder
    return AvEncoder
