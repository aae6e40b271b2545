"""Formats of video that FFmpeg may recognise in a file: those that contain their frames.

Lists of other files (``ffconcat``, HLS, DASH, SDP) are text, which FFmpeg recognises whatever the
file's suffix: a file from elsewhere could make it open other files, or network connections.
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
#: Cameras also send these; their playlists refer to the camera's own segments.
_STREAMS = f"{_FILES},rtsp,rtp,sdp,hls,rtp_mpegts,sap"
_lock = threading.Lock()
_asked: list[str] = []


def file_options() -> dict[str, str]:
    """Return the same limits in the form of PyAV's options."""
    return {"format_whitelist": _FILES, "protocol_whitelist": "file"}


def expect_file() -> AbstractContextManager[None]:
    """Restrict videos that OpenCV opens inside the block to files that refer to no other file."""
    return _set(f"format_whitelist;{_FILES}|protocol_whitelist;file")


def expect_stream(options: str) -> AbstractContextManager[None]:
    """Restrict videos that OpenCV opens inside the block to cameras on the network.

    Args:
        options: further ones, as OpenCV's FFmpeg reads them.
    """
    return _set(f"{options}|format_whitelist;{_STREAMS}")


@contextmanager
def _set(text: str) -> Iterator[None]:
    """Pass options through the environment, OpenCV's only way, and remove them afterwards.

    A value that the user set stays. If several threads open videos at once, the latest options
    apply.
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
