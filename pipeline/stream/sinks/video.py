"""The drawn frames as a video."""

from __future__ import annotations

import logging
from pathlib import Path

from pipeline.errors import OutputError
from pipeline.stream.frame import Result
from pipeline.stream.sinks.base import MediaTime, Sink, SinkOptions
from pipeline.stream.sinks.encoder import Encoder, VideoFormat, even, plays
from pipeline.stream.sinks.file_sink import FileSink
from pipeline.stream.sinks.segments import SegmentedVideo

log = logging.getLogger(__name__)


def matches(text: str) -> bool:
    """A file name that ends in ``.mp4`` or ``.mkv``."""
    return Path(text).suffix.lower() in {".mp4", ".mkv"}


def open_video_sink(text: str, options: SinkOptions) -> Sink:
    """Open a video by its path, or a series of them if segments are asked for."""
    path = Path(text).expanduser()
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise OutputError(
            f"{path} is not UTF-8, which video encoders need; give the video another name"
        ) from error
    if options.segment is not None:
        return SegmentedVideo(path, options, VideoSink)
    return VideoSink(path, options)


class VideoSink(FileSink):
    """Overlay video with the source's own timing.

    Frames of another size than the first are fitted into it, with black bars. An odd side gets one
    more pixel, a copy of the last, since video codecs halve the colour planes.

    Raises:
        OutputError: a file that is not ours has that name, or the folder cannot be written.
    """

    wants_overlay = True

    def __init__(self, path: Path, options: SinkOptions) -> None:
        super().__init__("video", path, options.force)
        self._time = MediaTime(options.fps, options.live)
        self._encoder_kind = _encoder_kind()
        self._encoder: Encoder | None = None
        self._size = (0, 0)
        self._make_room = options.make_room

    def _write(self, result: Result) -> None:
        image = self._overlay_of(result)
        if self._encoder is None:
            self._size = (image.shape[1], image.shape[0])
            form = VideoFormat.of(self._size, self._time.fps)
            assert self._target is not None
            self._encoder = self._encoder_kind(self._target.partial, form)
            if self._make_room is not None:
                self._encoder.make_room = self._make_room
        self._encoder.add(even(image, self._size), self._time.seconds(result.frame))

    def _close_file(self) -> None:
        if self._encoder is not None:
            encoder, self._encoder = self._encoder, None
            encoder.close()

    def _is_usable(self) -> bool:
        return self._target is not None and plays(self._target.partial)


def _encoder_kind() -> type[Encoder]:
    """Return the best encoder that is installed."""
    try:
        from pipeline.stream.sinks.encoder_av import AvEncoder
    except ImportError:
        from pipeline.stream.sinks.encoder_opencv import OpenCvEncoder

        log.warning("PyAV is not installed: the video will not play in browsers; pip install av")
        return OpenCvEncoder
    return AvEncoder
