"""Which forms of video FFmpeg may see in a file: those that hold their frames themselves.

A list of other files (``ffconcat``, HLS, DASH, SDP) is text, and FFmpeg recognises text whatever
the name ends in: a file from elsewhere would open its neighbours, or connections.
"""

from __future__ import annotations

import os

_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
_FILES = (
    "mov,matroska,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,vvc,av1,obu,ivf,flv,live_flv,asf,ogg,"
    "mjpeg,mpjpeg,mxf,nut,dv,rm,wtv,yuv4mpegpipe,gif,apng,3gp,webm,mp4,"
    "bmp_pipe,jpeg_pipe,png_pipe,tiff_pipe,webp_pipe"
)
#: What cameras send besides; playlists lead to the camera's own pieces.
_STREAMS = f"{_FILES},rtsp,rtp,sdp,hls,rtp_mpegts,sap"
_set_by_us: set[str] = set()


def expect_file() -> None:
    """Let the next video that OpenCV opens be a file that opens no other one."""
    _set(f"format_whitelist;{_FILES}|protocol_whitelist;file")


def expect_stream(options: str) -> None:
    """Let the next video that OpenCV opens be a camera on the network.

    Args:
        options: further ones, as OpenCV's FFmpeg reads them.
    """
    _set(f"{options}|format_whitelist;{_STREAMS}")


def _set(text: str) -> None:
    """OpenCV has no other way to hand options on; what the user set in the environment stays."""
    if os.environ.get(_OPTIONS) in {None, *_set_by_us}:
        _set_by_us.add(text)
        os.environ[_OPTIONS] = text
