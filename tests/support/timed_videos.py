"""Videos with frames at chosen times, written with PyAV, and how players show them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def write_timed(
    path: Path,
    moments: Sequence[int],
    image: np.ndarray | None = None,
    aspect: Fraction | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """Write a frame at each moment, in milliseconds; frame i is grey of 10 + 5 i, or ``image``."""
    with av.open(str(path.absolute()), "w") as container:
        stream = container.add_stream("libx264", rate=30, options=options or {"preset": "veryfast"})
        height, width = (48, 64) if image is None else image.shape[:2]
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        for index, moment in enumerate(moments):
            grey = np.full((height, width, 3), 10 + 5 * (index % 48), np.uint8)
            frame = av.VideoFrame.from_ndarray(grey if image is None else image, format="bgr24")
            frame.pts, frame.time_base = moment, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def trimmed(path: Path, source: Path, seconds: float) -> Path:
    """Cut off the beginning without re-encoding: an edit list hides frames before a key frame."""
    with (
        av.open(str(source)) as given,
        av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as container,
    ):
        video = given.streams.video[0]
        stream = container.add_stream_from_template(video)
        offset = int(seconds / video.time_base)
        for packet in given.demux(video):
            if packet.dts is not None:
                packet.pts -= offset
                packet.dts -= offset
                packet.stream = stream
                container.mux(packet)
    return path


def times(path: Path) -> list[float]:
    """Return the seconds at which PyAV shows the frames, counted from the first."""
    with av.open(str(path)) as container:
        found = [float(frame.time) for frame in container.decode(video=0) if frame.time is not None]
    return [moment - found[0] for moment in found]


def with_matrix(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """Write a display matrix into an MP4 file."""
    data = bytearray(path.read_bytes())
    begin = data.find(b"tkhd")
    place = begin + 8 + (32 if data[begin + 4] else 20) + 16
    rows = [a, b, 0, c, d, 0, 0, 0]
    data[place : place + 36] = struct.pack(">8i", *(n << 16 for n in rows)) + struct.pack(
        ">i", 1 << 30
    )
    path.write_bytes(data)
    return path
