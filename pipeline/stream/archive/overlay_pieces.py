"""Overlay videos in pieces: encoded by the workers, and joined without encoding again."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import av

from pipeline.errors import SinkError
from pipeline.stream.frame import Image
from pipeline.stream.sinks.base import MediaTime
from pipeline.stream.sinks.codecs import CODECS
from pipeline.stream.sinks.encoder import VideoFormat, even
from pipeline.stream.sinks.encoder_av import AvVideo
from pipeline.stream.sinks.output_file import MARK

#: In software, since pieces from different machines must fit together.
_CODEC = CODECS[-1]


def encode_piece(frames: Sequence[Image], seconds: Sequence[float], rate: float | None) -> bytes:
    """Encode frames, (H, W, 3) uint8 BGR, to be shown at ``seconds``, as a Matroska file."""
    file = io.BytesIO()
    size = (frames[0].shape[1], frames[0].shape[0])
    form = VideoFormat.of(size, MediaTime(rate).fps)
    video = AvVideo(av.open(file, "w", format="matroska"), form, codec=_CODEC)
    for frame, moment in zip(frames, seconds, strict=True):
        video.add(even(frame, size), moment)
    video.close()
    return file.getvalue()


def join_pieces(pieces: Iterable[bytes | Path], path: Path) -> None:
    """Join pieces, in order, into a video; the suffix of ``path`` names its container.

    Raises:
        SinkError: the pieces are of different sizes.
    """
    stream = None
    header: tuple[int, int, bytes | None] | None = None
    with av.open(str(path.absolute()), "w") as container:
        container.metadata["comment"] = MARK
        for piece in pieces:
            given = str(piece.absolute()) if isinstance(piece, Path) else io.BytesIO(piece)
            with av.open(given, "r") as opened:
                video = opened.streams.video[0]
                context = video.codec_context
                if stream is None:
                    stream = container.add_stream_from_template(video)
                    header = (context.width, context.height, context.extradata)
                elif header != (context.width, context.height, context.extradata):
                    raise SinkError(
                        f"{path.name}: the frames change their size, so that its pieces cannot be "
                        "joined and are kept as files"
                    )
                for packet in opened.demux(video):
                    if packet.dts is not None:
                        packet.stream = stream
                        container.mux(packet)
