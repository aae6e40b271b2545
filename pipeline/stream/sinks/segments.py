"""A long recording as a series of short videos; the oldest are removed to make room."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from pipeline.errors import OutputError, SinkError
from pipeline.stream.frame import Result
from pipeline.stream.sinks.base import MediaTime, Sink, SinkOptions
from pipeline.stream.sinks.encoder import plays
from pipeline.stream.sinks.output_file import is_ours, lock_of, may_be_refused

log = logging.getLogger(__name__)

#: What follows NAME in the name of a video: its number, its time or position, and ``.partial`` if a
#: killed run left it. Earlier versions gave no numbers.
_MARK = (
    r"((?P<number>\d{6,})-)?(?P<began>\d{8}T\d{6}Z|\d{6,}s)(?P<frame>-\d+)?"
    r"(?P<partial>\.partial(-\d+)?)?"
)
#: Seconds until a video is tried again after the disk was full.
_PAUSE = 1.0
#: Bytes that must be free before it goes on: enough for some seconds.
_ROOM = 16 << 20
#: Largest size in bytes of a video's head, before its first picture.
_HEAD_BYTES = 4096


class SegmentedVideo(Sink):
    """``NAME.mp4`` as ``NAME-000001-20261122T231500Z.mp4`` and so on, each playable by itself.

    The number counts the videos of a name over all runs, so the lowest number is the oldest video
    even if the clock was wrong, and no name is used twice. Then comes the time (UTC) at which the
    video begins, or for a file its position in seconds, ``NAME-000007-000600s.mp4``.
    Videos of earlier runs of the same name, also of killed ones, count towards ``keep`` and are
    removed first.

    On a full disk, if ``keep`` is given, the oldest videos are removed, all but the newest. If that
    is not enough, the video ends, and frames are lost and counted until there is room again.

    Args:
        path: NAME and suffix.
        options: ``segment`` seconds per video; ``keep`` bytes for all of them, or None.
        open_video: opens one video.

    Raises:
        OutputError: another process records under this name, or the folder cannot be written.
    """

    wants_overlay = True

    def __init__(
        self, path: Path, options: SinkOptions, open_video: Callable[[Path, SinkOptions], Sink]
    ) -> None:
        super().__init__("video", path.with_name(f"{path.stem}-*{path.suffix}"))
        assert options.segment is not None
        self._path = path
        self._options = replace(options, make_room=self._remove_oldest)
        self._seconds = options.segment
        self._open_video = open_video
        self._time = MediaTime(options.fps, options.live)
        self._video: Sink | None = None
        self._ends = 0.0
        self._again = 0.0
        # Not a glob pattern: videos of ``drive-1.mp4`` do not belong to ``drive.mp4``.
        stem, suffix = re.escape(path.stem), re.escape(path.suffix)
        self._name = re.compile(rf"{stem}-{_MARK}{suffix}", re.ASCII)
        with may_be_refused(path):
            self._lock = lock_of(path)
        self._remove_empty()
        self._number = max((self._age(video)[0] for video in self._videos()), default=0)

    def _write(self, result: Result) -> None:
        seconds = self._time.seconds(result.frame)
        try:
            if self._video is None or seconds >= self._ends:
                if not self._may_begin(seconds):
                    self.lost += 1
                    return
                self._video = self._begin(seconds)
            self._video.write(result)
        except (OutputError, SinkError) as error:
            if not isinstance(error.__cause__, OSError):
                raise
            self._fail(error)
            self._again = seconds + _PAUSE
            self.lost += 1

    def _may_begin(self, seconds: float) -> bool:
        """End the previous video and make room; whether there is enough."""
        self._end_video()
        if seconds < self._again:
            return False
        self._make_room()
        if self._again:
            while not self._has_room() and self._remove_oldest():
                pass
            if not self._has_room():
                self._again = seconds + _PAUSE
                return False
            log.warning("%s: there is room again, recording goes on", self.output)
            self._again = 0.0
        return True

    def _has_room(self) -> bool:
        return shutil.disk_usage(self._path.parent).free >= _ROOM

    def _begin(self, seconds: float) -> Sink:
        """Open the video that begins at ``seconds``."""
        mark = f"{int(seconds):06d}s"
        if self._options.live:
            mark = f"{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}"
        number = self._number + 1
        name = f"{self._path.stem}-{number:06d}-{mark}{self._path.suffix}"
        video = self._open_video(self._path.with_name(name), self._options)
        self._number = number
        # At multiples of the length, so that a late frame does not delay the videos that follow.
        self._ends = (seconds // self._seconds + 1) * self._seconds
        return video

    def _end_video(self) -> None:
        if self._video is not None:
            video, self._video = self._video, None
            video.close()

    def _fail(self, error: Exception) -> None:
        """End a video that failed; it is kept if it plays."""
        log.warning("%s", error)
        if not self.problems:
            self.problems.append(f"frames of the recording were lost: {error}")
        video, self._video = self._video, None
        if video is not None:
            video.close()

    def _age(self, video: Path) -> tuple[int, str]:
        """Sort key, from old to new; videos without a number are of an earlier version."""
        found = self._name.fullmatch(video.name)
        assert found is not None
        return int(found["number"] or 0), video.name

    def _videos(self) -> list[Path]:
        """Videos of this recording, the oldest first; files that are not ours are left out."""
        found = [path for path in self._path.parent.iterdir() if self._name.fullmatch(path.name)]
        return sorted((path for path in found if is_ours(path)), key=self._age)

    def _remove_empty(self) -> None:
        """Remove files of killed runs that hold no picture: locks, and heads of videos."""
        for path in self._path.parent.iterdir():
            lock = path.name.startswith(".") and path.suffix == ".lock"
            found = self._name.fullmatch(path.name[1:-5] if lock else path.name)
            if found is None or not found["number"] or not path.is_file():
                continue
            head = found["partial"] and path.stat().st_size <= _HEAD_BYTES and not plays(path)
            if lock or head:
                path.unlink()
                log.info("removed %s, which holds no picture", path)

    def _make_room(self) -> None:
        """Remove the oldest videos until there is room for one as large as the largest."""
        if self._options.keep is None:
            return
        sizes = {video: video.stat().st_size for video in self._videos()}
        room = self._options.keep - max(sizes.values(), default=0)
        while sizes and sum(sizes.values()) > room:
            oldest = next(iter(sizes))
            del sizes[oldest]
            oldest.unlink()
            log.info("removed %s to make room", oldest)

    def _remove_oldest(self) -> bool:
        """Remove the oldest video if ``keep`` is given, but never the newest; whether it did."""
        oldest = self._videos()[:-1] if self._options.keep is not None else []
        if oldest:
            oldest[0].unlink()
            log.info("removed %s from a full disk", oldest[0])
        return bool(oldest)

    def _finish(self) -> None:
        try:
            self._end_video()
        except SinkError as error:
            self._fail(error)
        finally:
            self._lock.release()

    def _salvage(self) -> Path | None:
        self._finish()
        return self.output

    def _leave(self) -> None:
        if self._video is not None:
            self._video.abandon()
        self._finish()

    def _discard(self) -> None:
        self._finish()
