"""A video file: every frame in order, with a warning if there are fewer than the file states."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import cv2
import numpy as np

from calibration.scenes.video_file import has_no_times, open_capture
from calibration.scenes.video_shape import shape_of
from pipeline.errors import SourceError
from pipeline.stream.frame import Frame, Image
from pipeline.stream.sources.base import Source, SourceOptions, quiet_opencv

log = logging.getLogger(__name__)

#: Containers with an index of their frames; for others the number comes from the duration.
_INDEXED = {".mp4", ".mov", ".m4v", ".3gp"}

#: Reads that may fail in a row while frames are missing. At a damaged place OpenCV reports an end,
#: but the next read goes on with the next frame that can be decoded.
_ATTEMPTS = 30


def matches(text: str) -> bool:
    """Any path; the other kinds of source were tried before."""
    return "://" not in text


def open_video(text: str, _options: SourceOptions) -> Source:
    return VideoSource(Path(text).expanduser())


class VideoSource(Source):
    """Frames of a video file, decoded by OpenCV.

    Raises:
        SourceError: the file is missing, is not a video, or has no frame.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self._path = path
        self.files = (path,)
        if not path.is_file():
            raise SourceError(
                f"source {path} does not exist; give a video, a picture, a directory of pictures, "
                "a camera number such as 0, or synthetic"
            )
        quiet_opencv()
        self._capture = open_capture(path)
        self._delivered = 0
        self._place = 0.0
        self._clock = FrameTimes(timed=not has_no_times(path))
        self._shape = shape_of(path, self._capture)
        self._next = self._decode() if self._capture.isOpened() else None
        if self._next is None:
            self._capture.release()
            raise SourceError(
                f"no frame of {path} ({path.stat().st_size} bytes) can be read; "
                "check that it is a complete video that a player shows"
            )
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        # A container without a rate gives 0, NaN or its time base (up to 90000).
        self.fps = fps if 0 < fps < 1000 else None
        # A file that was never finished gives a negative or a huge number.
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.promised = int(count) if 0 < count < 1e12 else None
        track = self._shape.track
        if track is not None and track.samples == self.promised:
            self.promised = track.shown  # an edit list may leave some out, as a trim does
            largest = max(track.sizes, key=lambda size: size[0] * size[1])
            if largest[0] * largest[1] > track.sizes[0][0] * track.sizes[0][1]:
                log.warning(
                    "%s holds %d video tracks: the first, of %dx%d, is read, another has %dx%d; "
                    "copy that into its own file (ffmpeg -map) to read it",
                    path,
                    len(track.sizes),
                    *track.sizes[0],
                    *largest,
                )
        if not self._clock.timed and self.fps is not None:
            log.warning(
                "%s holds no times: %g frames per second were assumed; if that is wrong, put it "
                "into a container such as .mkv at the right rate",
                path,
                self.fps,
            )

    def _decode(self) -> tuple[Image, float] | None:
        """Return the next frame as it is to be shown, and its time in milliseconds."""
        for _ in range(_ATTEMPTS):
            arrived, image = self._capture.read()
            if arrived and image is not None:
                shown = self._shape.shown(np.asarray(image, dtype=np.uint8))
                if hasattr(cv2, "CAP_PROP_PTS"):  # from OpenCV 4.11, in frames of the rate
                    self._place = max(self._place, self._capture.get(cv2.CAP_PROP_PTS))
                return shown, self._capture.get(cv2.CAP_PROP_POS_MSEC)
            if self.promised is None or self._delivered >= self.promised:
                break
        return None

    def _read(self) -> Frame | None:
        if self._next is None:
            return None
        (image, ms), captured = self._next, time.monotonic()
        index = self._delivered
        self._delivered += 1
        self._next = self._decode()
        seconds = self._clock.seconds(ms, None if self._next is None else self._next[1])
        if self._next is None:
            self._report_lost()
        return Frame(image, index, captured, f"{index:06d}", seconds=seconds)

    def _report_lost(self) -> None:
        if self.promised is None or self._delivered >= self.promised:
            return
        if not _has_frame_index(self._path) and self._plays_to_the_end():
            self.promised = None  # the estimate was wrong
            return
        self.problems.append(
            f"{self.name} delivered {self._delivered} of the {self.promised} frames that its "
            "container promises; it is damaged or was cut off, check or copy it again"
        )

    def _plays_to_the_end(self) -> bool:
        """Whether the last frame was at the end of the duration that the container states."""
        if self.promised is None or self.fps is None:
            return True
        duration = self.promised / self.fps
        # Our times begin at the first frame, the container's need not.
        reached = max(self._clock.last, self._place / self.fps)
        return reached >= duration * 0.98 - 0.5

    def _close(self) -> None:
        self._capture.release()


class FrameTimes:
    """Turns a container's times into seconds since the first frame that never go back.

    Attributes:
        timed: whether the container has times.
        last: seconds of the last frame.
    """

    def __init__(self, timed: bool) -> None:
        self.timed = timed
        self.last = 0.0
        self._first: float | None = None

    def seconds(self, ms: float, following: float | None) -> float | None:
        """Return the seconds of a frame, given its and the next one's time; None without times."""
        if self._first is None:
            self._first = ms
            # Without times, OpenCV gives the same one for every frame.
            self.timed = self.timed and (following is None or following > ms)
        if not self.timed:
            return None
        self.last = max(self.last, (ms - self._first) / 1e3)
        return self.last


def _has_frame_index(path: Path) -> bool:
    """Whether the container states its number of frames exactly.

    MPEG-4 files do, unless they are fragmented (ISO/IEC 14496-12: a top-level ``moof`` box). For
    others OpenCV multiplies duration and rate, which is an estimate.
    """
    if path.suffix.lower() not in _INDEXED:
        return False
    with path.open("rb") as file:
        while len(head := file.read(8)) == 8:
            size, kind = int.from_bytes(head[:4], "big"), head[4:]
            if kind == b"moof":
                return False
            if size == 1:
                size = int.from_bytes(file.read(8), "big") - 8
            if size < 8:
                break
            file.seek(size - 8, 1)
    return True
