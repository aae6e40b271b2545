"""The H.264 encoder to use: hardware if this machine has one that works, otherwise software.

FFmpeg also lists encoders whose driver or device is missing, so each is tried on a picture.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache

import av

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Codec:
    """An encoder of FFmpeg.

    Attributes:
        name: FFmpeg's.
        options: for speed.
        low_delay: further options to output every frame at once, at the price of larger files.
    """

    name: str
    options: Mapping[str, str]
    low_delay: Mapping[str, str] = field(default_factory=dict)


#: In order of preference: NVIDIA's desktop encoder, the encoder of boards with a V4L2 driver, and
#: software, where ``ultrafast`` takes about the time and size of MPEG-4 part 2.
CODECS = (
    Codec("h264_nvenc", {"preset": "p2", "tune": "ll", "cq": "25"}),
    Codec("h264_v4l2m2m", {}),
    Codec("libx264", {"preset": "ultrafast", "crf": "23"}, {"tune": "zerolatency"}),
)


@cache
def best_codec() -> Codec:
    """Return the first of :data:`CODECS` that encodes a picture here."""
    return first_working(CODECS)


def first_working(codecs: Sequence[Codec]) -> Codec:
    """Return the first codec that encodes a picture; the last one is taken without a try."""
    for codec in codecs[:-1]:
        try:
            _encode_a_picture(codec)
        except (av.FFmpegError, ValueError) as error:  # an unknown name is a ValueError
            log.debug("%s does not work here: %s", codec.name, error)
        else:
            return codec
    return codecs[-1]


def _encode_a_picture(codec: Codec) -> None:
    context = av.VideoCodecContext.create(codec.name, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = 640, 360, "yuv420p"
    context.time_base, context.framerate = Fraction(1, 30), Fraction(30)
    context.options = dict(codec.options)
    picture = av.VideoFrame(640, 360, "yuv420p")
    picture.pts = 0
    if not [*context.encode(picture), *context.encode(None)]:
        raise ValueError("it took a picture and gave nothing")
