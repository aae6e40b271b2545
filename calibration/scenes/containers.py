"""Which forms of video FFmpeg may see in a file: those that hold their frames themselves.

A list of other files (``ffconcat``, HLS, DASH, SDP) is text, and FFmpeg recognises text whatever
the name ends in: a file from elsewhere would open its neighbours, or connections.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
_FILES = (
    "mov,matroska,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,vvc,av1,obu,ivf,flv,live_flv,asf,ogg,"
    "mjpeg,mpjpeg,mxf,nut,dv,rm,wtv,yuv4mpegpipe,gif,apng,3gp,webm,mp4,"
    "bmp_pipe,jpeg_pipe,png_pipe,tiff_pipe,webp_pipe"
)
#: What cameras send besides; playlists lead to the camera's own pieces.
_STREAMS = f"{_FILES},rtsp,rtp,sdp,hls,rtp_mpegts,sap"
_lock = threading.Lock()
_asked: list[str] = []


def file_options() -> dict[str, str]:
    """Return the same limits for FFmpeg where it is asked directly, by PyAV."""
    return {"format_whitelist": _FILES, "protocol_whitelist": "file"}


def expect_file() -> AbstractContextManager[None]:
    """Let videos that OpenCV opens inside be files that open no other one."""
    return _set(f"format_whitelist;{_FILES}|protocol_whitelist;file")


def expect_stream(options: str) -> AbstractContextManager[None]:
    """Let videos that OpenCV opens inside be cameras on the network.

    Args:
        options: further ones, as OpenCV's FFmpeg reads them.
    """
    return _set(f"{options}|format_whitelist;{_STREAMS}")


@contextmanager
def _set(text: str) -> Iterator[None]:
    """Hand options on by the environment, the only way that OpenCV has, and take them back.

    What the user set there stays, and the program's own videos see nothing of ours. Several threads
    may open videos at once: the latest one's options hold, then those before.
    """
    with _lock:
        is_ours = bool(_asked) or _OPTIONS not in os.environ
        if is_ours:
            _asked.append(text)
            os.environ[_OPTIONS] = text
    try:
        yield
    finally:
        if is_ours:
            with _lock:
                _asked.remove(text)
                if _asked:
                    os.environ[_OPTIONS] = _asked[-1]
                else:
                    del os.environ[_OPTIONS]
