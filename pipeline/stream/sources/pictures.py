"""A picture, a directory of pictures, or a pattern such as ``frames/*.jpg``, in natural order."""

from __future__ import annotations

import glob
import time
from pathlib import Path

from calibration.errors import DataError
from calibration.scenes.dataset import PICTURE_SUFFIXES, list_pictures, read_picture
from calibration.scenes.natural_order import natural
from pipeline.errors import SourceError
from pipeline.stream.frame import Frame
from pipeline.stream.sources.base import Source, SourceOptions, quiet_opencv
from pipeline.stream.sources.picture_names import unique_names

#: Read as a video, but in a folder as a picture, of which the first frame is taken.
_ANIMATED = {".gif"}
#: Broken pictures that a problem names; further ones are only counted.
_NAMED = 10


def matches(text: str) -> bool:
    """A directory, a file with a picture's suffix, or a pattern that is not itself a file."""
    path = Path(text).expanduser()
    is_pattern = glob.has_magic(text) and not path.exists()
    is_picture = path.suffix.lower() in PICTURE_SUFFIXES - _ANIMATED
    return path.is_dir() or is_picture or is_pattern


def open_pictures(text: str, _options: SourceOptions) -> Source:
    path = Path(text).expanduser()
    try:
        if path.is_dir():
            return PictureSource(text, list_pictures(path))
    except DataError as error:
        raise SourceError(str(error)) from error
    if path.exists():
        return PictureSource(text, [path])
    if not glob.has_magic(text):
        raise SourceError(
            f"source {text} does not exist; give a picture, a directory of pictures or a pattern "
            "such as 'frames/*.jpg'"
        )
    found = sorted((Path(name) for name in glob.glob(str(path), recursive=True)), key=natural)
    pictures = [one for one in found if one.suffix.lower() in PICTURE_SUFFIXES]
    if not pictures:
        raise SourceError(
            f"source {text} finds no picture; give a pattern for files ending in "
            f"{', '.join(sorted(PICTURE_SUFFIXES))}"
        )
    return PictureSource(text, pictures)


class PictureSource(Source):
    """Pictures from disk; those that cannot be read are skipped, and reported as a problem.

    Args:
        name: of the source.
        pictures: paths, in the order of delivery.

    Raises:
        SourceError: none of them can be read.
    """

    def __init__(self, name: str, pictures: list[Path]) -> None:
        super().__init__(name)
        quiet_opencv()
        self._pictures = pictures
        self._names = unique_names(pictures)
        self.files = tuple(pictures)
        self.pictures = True
        self._place = 0
        self._delivered = 0
        self._broken: list[str] = []
        self.promised = len(pictures)
        self._next = self._decode()
        if self._next is None:
            raise SourceError(
                f"none of the {len(pictures)} pictures of {name} can be read "
                f"(the first is {pictures[0].name}); check that they are whole"
            )

    def _decode(self) -> Frame | None:
        while self._place < len(self._pictures):
            path, name = self._pictures[self._place], self._names[self._place]
            self._place += 1
            try:
                image = read_picture(path)
            except DataError:
                self._broken.append(path.name)
                self.skipped += 1
                self._report_broken()
                continue
            return Frame(image, self._delivered, time.monotonic(), name)
        return None

    def _read(self) -> Frame | None:
        frame = self._next
        if frame is None:
            return None
        self._delivered += 1
        self._next = self._decode()
        return frame

    def _report_broken(self) -> None:
        named = ", ".join(self._broken[:_NAMED])
        more = len(self._broken) - _NAMED
        self.problems[:] = [
            f"{self.name} holds {len(self._pictures)} pictures, {len(self._broken)} of them "
            f"cannot be read and were skipped: {named}"
            + (f" and {more} more" if more > 0 else "")
            + "; copy them again or remove them"
        ]
