"""Frames of a video file by their number, read from the start: seeking by number is not exact."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.errors import CalibrationError
from calibration.scenes.video_file import open_capture, quiet_opencv
from calibration.scenes.video_shape import shape_of
from calibration.selection import Descriptor, describe

#: Failed grabs in a row after which a file ends although its container promises more frames. OpenCV
#: reports an end at damaged data, and continues with the next decodable frame if asked again.
_ATTEMPTS = 30

#: Share of the promised frames below which a warning is given; containers often only estimate them.
_COMPLETE = 0.95


@dataclass(frozen=True)
class Candidates:
    """What a first pass found.

    Attributes:
        numbers: of the frames that were described.
        descriptors: of those frames.
        warnings: what a user should know about the file.
    """

    numbers: list[int]
    descriptors: list[Descriptor]
    warnings: list[str]


@dataclass(frozen=True)
class VideoFrames:
    """The frames ``numbers`` (ascending, from 0) of a video, decoded anew by each iteration."""

    path: Path
    numbers: tuple[int, ...]

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        wanted = iter(self.numbers)
        number = next(wanted, None)
        with _Reader(self.path) as reader:
            for grabbed in reader.grabs():
                if number is None:
                    return
                if grabbed == number:
                    image = reader.decode()
                    if image is None:
                        break
                    yield image
                    number = next(wanted, None)
        if number is not None:
            raise CalibrationError(
                f"{self.path}: frame {number} could be read before and cannot be read now; keep "
                f"the file unchanged while calibrating"
            )


def describe_video(path: Path, most: int, progress: Callable[[float], None]) -> Candidates:
    """Describe at most ``most`` evenly spaced frames of a video, in one pass.

    Containers do not state their length reliably. So every frame is described until there are too
    many, then every second, every fourth and so on; the others are skipped without conversion.

    Raises:
        CalibrationError: no video that OpenCV can decode.
    """
    found: dict[int, Descriptor] = {}
    stride, frames = 1, 0
    with _Reader(path) as reader:
        for number in reader.grabs():
            frames = number + 1
            if number % stride:
                continue
            image = reader.decode()
            if image is None:
                continue
            found[number] = describe(image)
            if len(found) > most:
                stride *= 2
                found = {kept: what for kept, what in found.items() if kept % stride == 0}
            progress(min(frames / reader.promised, 1.0) if reader.promised > 0 else 0.0)
        promised = reader.promised
    warnings = []
    if frames < promised * _COMPLETE:
        warnings.append(
            f"{path.name} holds {frames} readable frames where its container promises {promised}; "
            "it is damaged or was cut off"
        )
    return Candidates(list(found), list(found.values()), warnings)


class _Reader:
    """An open video; its container promises ``promised`` frames, 0 if it does not say."""

    def __init__(self, path: Path) -> None:
        quiet_opencv()
        self._capture = open_capture(path)
        if not self._capture.isOpened():
            self._capture.release()
            raise CalibrationError(
                f"calibration {path} ({path.stat().st_size} bytes) is no video that can be opened; "
                "give a folder of pictures or a complete video that a player shows (random noise "
                "is never used instead)"
            )
        self._shape = shape_of(path, self._capture)
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        # A file that was never finished has a negative or absurd number.
        self.promised = int(count) if 0 < count < 1e12 else 0
        track = self._shape.track
        if track is not None and track.samples == self.promised:
            self.promised = track.shown

    def __enter__(self) -> _Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._capture.release()

    def grabs(self) -> Iterator[int]:
        """Step through the file; yield the number of each frame reached."""
        number = 0
        while self._grab(number):
            yield number
            number += 1

    def _grab(self, number: int) -> bool:
        for _ in range(_ATTEMPTS):
            if self._capture.grab():
                return True
            if number >= self.promised:
                break
        return False

    def decode(self) -> NDArray[np.uint8] | None:
        """Return the frame reached, (H, W, 3) uint8 BGR; None if it is damaged."""
        arrived, image = self._capture.retrieve()
        if not arrived or image is None:
            return None
        return self._shape.shown(np.asarray(image, dtype=np.uint8))
