"""Road scenes that INT8 is calibrated with, from a folder of pictures or a video."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.errors import CalibrationError, DataError
from calibration.scenes.dataset import first_names, list_pictures, read_picture
from calibration.scenes.video import Candidates, VideoFrames, describe_video
from calibration.selection import NEARLY_ALIKE, Choice, choose, describe
from models.atomic import sha256_of

#: Fewest frames to calibrate INT8 with; ranges of fewer scenes are not reliable.
FEWEST = 16

#: Most pictures or video frames, evenly spaced, among which the choice is made.
_CANDIDATES = 2000

_NEVER_RANDOM = "random noise is never used instead"

#: Called with (what is being done, share done 0..1).
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class CalibrationFrames:
    """Chosen frames; each iteration reads them again, one at a time, as (H, W, 3) uint8 BGR.

    Attributes:
        source: name of the folder or file, without its path.
        names: of the frames: a picture's stem, or ``frame 000123`` of a video.
        fingerprint: SHA-256 of the chosen pictures' files in order, or of the video and the chosen
            numbers; independent of the files' paths and names.
        warnings: what a user should know before relying on them.
        images: what an iteration reads.
    """

    source: str
    names: tuple[str, ...]
    fingerprint: str
    warnings: tuple[str, ...]
    images: Iterable[NDArray[np.uint8]] = field(repr=False)

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """Read the frames in order.

        Raises:
            DataError, CalibrationError: a file that is gone or changed since it was chosen.
        """
        return iter(self.images)


@dataclass(frozen=True)
class _Pictures:
    paths: tuple[Path, ...]

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return (read_picture(path) for path in self.paths)


def open_calibration_frames(
    path: Path, count: int = 128, progress: Progress = lambda what, share: None
) -> CalibrationFrames:
    """Choose frames of varied light and content for calibration, the same at every call.

    A first pass describes every frame by a thumbnail (2000 evenly spaced ones if there are more);
    ``calibration/selection.py`` chooses among these. Each pass reads a video from its start, which
    takes minutes for a drive of an hour.

    Args:
        path: a folder of pictures, a folder that holds ``images/``, or a video file.
        count: frames to choose, at least ``FEWEST``.
        progress: called during the first pass.

    Raises:
        CalibrationError: nothing there, no pictures, no video, or fewer than ``FEWEST`` usable
            frames.
    """
    if count < FEWEST:
        raise CalibrationError(
            f"{count} calibration frames were asked for, expected at least {FEWEST}; 128 is a good "
            "number"
        )

    path = Path(path)
    if path.is_dir():
        choose_frames = _from_folder
    elif path.is_file():
        choose_frames = _from_video
    else:
        raise CalibrationError(
            f"calibration {path} does not exist; give a folder of road pictures, a folder that "
            f"holds images/, or a video ({_NEVER_RANDOM})"
        )
    return choose_frames(path, count, lambda share: progress("choose calibration frames", share))


def _from_folder(path: Path, count: int, progress: Callable[[float], None]) -> CalibrationFrames:
    try:
        pictures = list_pictures(path)
    except DataError as error:
        raise CalibrationError(f"calibration {error} ({_NEVER_RANDOM})") from error
    candidates = _describe_pictures(pictures, max(_CANDIDATES, count), progress)
    numbers, warnings = _choose(path, candidates, count)
    chosen = tuple(pictures[number] for number in numbers)
    return CalibrationFrames(
        source=path.resolve().name,
        names=tuple(picture.stem for picture in chosen),
        fingerprint=_sha256("".join(sha256_of(picture) for picture in chosen)),
        warnings=warnings,
        images=_Pictures(chosen),
    )


def _from_video(path: Path, count: int, progress: Callable[[float], None]) -> CalibrationFrames:
    candidates = describe_video(path, max(_CANDIDATES, count), progress)
    numbers, warnings = _choose(path, candidates, count)
    return CalibrationFrames(
        source=path.resolve().name,
        names=tuple(f"frame {number:06d}" for number in numbers),
        fingerprint=_sha256(f"{sha256_of(path)} {numbers}"),
        warnings=warnings,
        images=VideoFrames(path, numbers),
    )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _describe_pictures(
    pictures: list[Path], most: int, progress: Callable[[float], None]
) -> Candidates:
    """Describe at most ``most`` evenly spaced pictures; warn of those that cannot be read."""
    most = min(most, len(pictures))
    tried = [position * len(pictures) // most for position in range(most)]
    candidates = Candidates([], [], [])
    broken = []
    for position, number in enumerate(tried, start=1):
        try:
            candidates.descriptors.append(describe(read_picture(pictures[number])))
            candidates.numbers.append(number)
        except DataError:
            broken.append(pictures[number].name)
        progress(position / len(tried))
    if broken:
        candidates.warnings.append(
            f"{len(broken)} of {len(tried)} pictures cannot be read and were left out: "
            f"{first_names(broken)}"
        )
    return candidates


def _choose(
    path: Path, candidates: Candidates, count: int
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return the numbers of the chosen frames, and warnings about them."""
    usable = len(candidates.numbers)
    if usable < FEWEST:
        reasons = "".join(f"; {warning}" for warning in candidates.warnings)
        raise CalibrationError(
            f"calibration {path} has {usable} usable frames, expected at least {FEWEST}, better "
            f"128 of different light and places; add some ({_NEVER_RANDOM}){reasons}"
        )
    choice = choose(candidates.descriptors, count)
    numbers = tuple(candidates.numbers[index] for index in choice.indices)
    return numbers, (*candidates.warnings, *_judge(choice, count))


def _judge(choice: Choice, count: int) -> Iterator[str]:
    """Warn of too few or too similar frames."""
    chosen, distinct = len(choice.indices), choice.distinct
    if chosen < count:
        yield f"{count} calibration frames were asked for, {chosen} are usable"
    if distinct < chosen / 2:
        yield (
            f"calibration frames are nearly alike: only {distinct} of {chosen} differ by "
            f"{NEARLY_ALIKE:g} grey levels or more; INT8 will be accurate for such scenes only, "
            "give a longer and more varied drive"
        )
