"""A long recording as many short videos, the oldest of which make room for the newest."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

from pipeline.frame import Frame, Result
from pipeline.stream.sinks.base import MediaTime, Sink, SinkOptions, is_ours

log = logging.getLogger(__name__)

#: What names of videos have behind NAME: time or position, a frame where those are not enough,
#: and what a killed run leaves.
_MARK = r"(\d{8}T\d{6}Z|\d{6,}s)(-\d+)?(\.partial)?"

#: Opens one video of the recording.
OpenVideo = Callable[[Path, SinkOptions], Sink]


class SegmentedVideo(Sink):
    """``NAME.mp4`` as ``NAME-20261122T231500Z.mp4`` and so on, each whole and playable alone.

    A live recording names each video by the time (UTC) at which it begins, a file by its position
    in seconds, ``NAME-000600s.mp4``; so they sort in order. Videos of earlier runs under the same
    name, those of a killed one included, count for ``keep`` and go first.

    Args:
        path: NAME and the container.
        options: ``segment`` seconds per video; ``keep`` bytes for all of them, or None.
        open_video: opens one of them.
    """

    wants_overlay = True

    def __init__(self, path: Path, options: SinkOptions, open_video: OpenVideo) -> None:
        super().__init__("video", path.with_name(f"{path.stem}-*{path.suffix}"))
        assert options.segment is not None
        self._path = path
        self._options = options
        self._seconds = options.segment
        self._open_video = open_video
        self._time = MediaTime(options)
        self._video: Sink | None = None
        self._ends = 0.0
        self._made: set[Path] = set()

    def _write(self, result: Result) -> None:
        seconds = self._time.seconds(result.frame)
        if self._video is None or seconds >= self._ends:
            self._finish()
            self._make_room()
            self._video = self._open_video(self._next(result.frame, seconds), self._options)
            # On a grid, so that a slow source does not stretch the videos.
            self._ends = (seconds // self._seconds + 1) * self._seconds
        self._video.write(result)

    def _next(self, frame: Frame, seconds: float) -> Path:
        """Name of the video that begins with ``frame``."""
        if self._options.live:
            mark = f"{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}"
        else:
            mark = f"{int(seconds):06d}s"
        path = self._path.with_name(f"{self._path.stem}-{mark}{self._path.suffix}")
        if path in self._made:  # videos of less than a second
            path = path.with_name(f"{path.stem}-{frame.index}{path.suffix}")
        self._made.add(path)
        return path

    def _make_room(self) -> None:
        """Remove the oldest videos until a new one as large as the largest has room."""
        if self._options.keep is None:
            return
        # Not by a pattern of the shell: the videos of ``drive-1.mp4`` are none of ``drive.mp4``.
        stem, suffix = re.escape(self._path.stem), re.escape(self._path.suffix)
        name = re.compile(rf"{stem}-{_MARK}{suffix}", re.ASCII)
        videos = sorted(path for path in self._path.parent.iterdir() if name.fullmatch(path.name))
        sizes = {video: video.stat().st_size for video in videos if is_ours(video)}
        room = self._options.keep - max(sizes.values(), default=0)
        while sizes and sum(sizes.values()) > room:
            oldest = next(iter(sizes))
            del sizes[oldest]
            oldest.unlink()
            log.info("removed %s to make room", oldest)

    def _finish(self) -> None:
        if self._video is not None:
            video, self._video = self._video, None
            video.close()

    def _discard(self) -> None:
        self._finish()
