"""H.264 through PyAV: plays in every browser and player (docs/decisions/004-video-output.md)."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.container import OutputContainer
from av.video.reformatter import ColorRange, Colorspace

from pipeline.stream.frame import Image
from pipeline.stream.sinks.codecs import Codec, best_codec
from pipeline.stream.sinks.disk_file import DiskFile, whole_mkv, whole_mp4
from pipeline.stream.sinks.encoder import Encoder, VideoFormat
from pipeline.stream.sinks.output_file import MARK

_CLOCK = 90_000
_KEYFRAME_SECONDS = 1


@dataclass(frozen=True)
class _Container:
    """FFmpeg's ``name`` and ``options``; ``whole`` as for ``DiskFile``."""

    name: str
    options: Mapping[str, str]
    whole: Callable[[Path], int]


#: Every packet or fragment is written at once, so that a file plays even after ``kill -9``. An mp4
#: is written in fragments for this reason, and turned into a plain file at its end.
_CONTAINERS = {
    ".mkv": _Container("matroska", {"flush_packets": "1", "cluster_time_limit": "1000"}, whole_mkv),
    ".mp4": _Container(
        "mp4",
        {"flush_packets": "1", "movflags": "frag_keyframe+hybrid_fragmented"},
        whole_mp4,
    ),
}


class AvVideo:
    """The one video stream of an opened container; every failure to write is an ``OSError``.

    Args:
        container: opened for writing; closed with this.
        form: of the pictures.
        low_delay: output every frame at once.
        codec: None for the best of this machine.
    """

    def __init__(
        self,
        container: OutputContainer,
        form: VideoFormat,
        low_delay: bool = False,
        codec: Codec | None = None,
    ) -> None:
        self._container = container
        rate = Fraction(form.fps).limit_denominator(1001)
        codec = codec or best_codec()
        options = {**codec.options, **(codec.low_delay if low_delay else {})}
        stream = container.add_stream(codec.name, rate=rate, options=options)
        assert isinstance(stream, av.VideoStream)
        self._stream = stream
        context = stream.codec_context
        context.width, context.height = form.width, form.height
        context.pix_fmt = "yuv420p"
        context.gop_size = max(1, round(form.fps * _KEYFRAME_SECONDS))
        context.time_base = Fraction(1, _CLOCK)
        # OpenCV converts with the BT.601 matrix; without the tag, players assume another for HD.
        context.colorspace = Colorspace.ITU601
        context.color_range = ColorRange.MPEG
        self._last = -1

    def add(self, image: Image, seconds: float) -> None:
        """Encode one picture; one that is not later than the last is moved one tick behind it."""
        planes = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420), dtype=np.uint8)
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        self._last = max(self._last + 1, round(seconds * _CLOCK))
        frame.pts, frame.time_base = self._last, Fraction(1, _CLOCK)
        with os_errors():
            self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Write the frames that the encoder still holds, and finish the container."""
        with os_errors():
            try:
                self._container.mux(self._stream.encode(None))
            finally:
                self._container.close()


class AvEncoder(AvVideo, Encoder):
    """Keeps the time of each frame; on a full disk the file is cut so that it plays."""

    def __init__(self, path: Path, form: VideoFormat) -> None:
        kind = _CONTAINERS[path.suffix.lower()]
        self._file = DiskFile(path, kind.whole, lambda: self.make_room())
        with os_errors():
            container = av.open(self._file, "w", format=kind.name, options=dict(kind.options))
        container.metadata["comment"] = MARK
        super().__init__(container, form)

    def close(self) -> None:
        try:
            super().close()
        except OSError as error:
            raise self._file.error or error from None
        finally:
            self._file.close()


@contextmanager
def os_errors() -> Iterator[None]:
    """Translate FFmpeg's errors."""
    try:
        yield
    except av.FFmpegError as error:
        raise OSError(error.errno or errno.EIO, error.strerror) from error
