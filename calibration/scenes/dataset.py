"""Pictures with labels in the layout of CamVid: ``DIR/images/NAME.jpg``, ``DIR/labels/NAME.png``.

A label picture is a PNG that stores the class index of every pixel, or the class set's void value:
grey or palette, of 1 to 16 bits; what the palette shows does not count. Pictures may have any
format that OpenCV reads.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.errors import DataError
from calibration.scenes.deep_pictures import decode_deep, is_deep
from calibration.scenes.natural_order import natural
from calibration.scenes.png import stored_values
from models.bounded import read_bytes, too_many_pixels
from models.classes import ClassSet

log = logging.getLogger(__name__)

#: Suffixes of still pictures that OpenCV's usual builds decode.
PICTURE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".dib", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".jp2", ".pbm", ".pgm",
     ".png", ".pnm", ".ppm", ".ras", ".sr", ".tif", ".tiff", ".webp"}
)  # fmt: skip
#: Suffixes of pictures that cannot be decoded here; a warning says that they are left out.
_OTHER_PICTURES = frozenset(
    {".heic", ".heif", ".jxl", ".tga", ".psd", ".dng", ".cr2", ".nef", ".arw", ".raw", ".svg",
     ".exr", ".hdr", ".j2k", ".jpf", ".apng", ".ico"}
)  # fmt: skip
#: Most bytes of a picture's file.
_MOST_BYTES = 1 << 29
#: How many names a message lists; it counts the rest.
_NAMED = 3


@dataclass(frozen=True)
class Sample:
    """One labelled picture: ``image`` (H, W, 3) uint8 BGR, ``label`` (H, W) uint8."""

    name: str
    image: NDArray[np.uint8]
    label: NDArray[np.uint8]


@dataclass(frozen=True)
class LabelledFolder:
    """A sequence of labelled pictures on disk, in natural order; made by ``open_labelled_folder``.

    Attributes:
        path: the folder that holds ``images/`` and ``labels/``.
        classes: what the label values mean.
        pairs: picture and label file of each sample.
    """

    path: Path
    classes: ClassSet
    pairs: tuple[tuple[Path, Path], ...]

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        """Read one sample.

        Raises:
            IndexError: no such sample.
            DataError: a file that cannot be read, a label of another size than its picture, or a
                label value that the class set does not have.
        """
        picture, label = self.pairs[index]
        image, values = read_picture(picture), read_label(label, self.classes)
        if image.shape[:2] != values.shape:
            raise DataError(
                f"{label}: {_size(values)} pixels, but its picture {picture.name} has "
                f"{_size(image)}; give a label for every pixel of the picture"
            )
        return Sample(picture.stem, image, values)

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))


def open_labelled_folder(path: Path | str, classes: ClassSet) -> LabelledFolder:
    """Find the pictures of a folder and their labels; files are read when they are asked for.

    Labels without a picture are ignored, since a folder may hold only some of the pictures.

    Raises:
        DataError: a folder that is missing or has no pictures, pictures without a label, or two
            pictures that would share one.
    """
    path = Path(path)
    for part in (path, path / "images", path / "labels"):
        if not part.is_dir():
            raise DataError(
                f"{part}: no such folder; expected a data folder with images/NAME.jpg and "
                "labels/NAME.png"
            )
    pictures = list_pictures(path / "images")
    stems = [picture.stem for picture in pictures]
    twice = sorted(stem for stem, count in Counter(stems).items() if count > 1)
    if twice:
        raise DataError(
            f"{path / 'images'}: more than one picture named {first_names(twice)}; expected one "
            f"per label; rename or remove the others"
        )
    labels: dict[str, Path] = {}
    for file in sorted((path / "labels").iterdir()):
        if file.suffix.lower() == ".png" and file.is_file():
            labels[file.stem] = file  # sorted, so .png wins over .PNG
    missing = [picture.name for picture in pictures if picture.stem not in labels]
    if missing:
        raise DataError(
            f"{path}: {len(missing)} of {len(pictures)} pictures have no label in labels/: "
            f"{first_names(missing)}; expected a PNG of the same name for each ('convert-labels' "
            f"makes them of CamVid's, Cityscapes', BDD100K's and VOC's own)"
        )
    pairs = tuple((picture, labels[picture.stem]) for picture in pictures)
    return LabelledFolder(path, classes, pairs)


def list_pictures(directory: Path | str) -> list[Path]:
    """List the pictures of a folder, or of ``images/`` in it, in natural order (2 before 10).

    Raises:
        DataError: no such folder, or no picture in it.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise DataError(f"{directory}: no such folder; give a folder of pictures")
    inner = directory / "images"
    for folder in (directory, inner) if inner.is_dir() else (directory,):
        found = [
            file
            for file in folder.iterdir()
            if file.suffix.lower() in PICTURE_SUFFIXES
            and not file.name.startswith(".")
            and file.is_file()
        ]
        pictures = sorted(found, key=natural)
        others = [file.name for file in folder.iterdir() if file.suffix.lower() in _OTHER_PICTURES]
        if others:
            log.warning(
                "%s: %d pictures are left out, since their format is not read here: %s; convert "
                "them to PNG or JPEG",
                folder,
                len(others),
                first_names(sorted(others)),
            )
        if pictures:
            return pictures
    raise DataError(
        f"{directory}: no pictures in this folder; expected files such as NAME.jpg or NAME.png, "
        "here or in images/"
    )


def read_picture(path: Path | str) -> NDArray[np.uint8]:
    """Read one picture as (H, W, 3) uint8 BGR; grey and transparent ones are converted.

    Raises:
        DataError: a file that is missing, not readable or not a picture.
    """
    path = Path(path)
    content = _content(path)
    try:
        if is_deep(content) and (deep := decode_deep(content)) is not None:
            return deep
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        reason = too_many_pixels() if "MAX_IMAGE_PIXELS" in str(error) else _BROKEN
        raise DataError(f"{path}: {reason}") from error
    if picture is None:
        raise DataError(f"{path}: {_BROKEN}")
    return np.asarray(picture, np.uint8)


def read_label(path: Path | str, classes: ClassSet) -> NDArray[np.uint8]:
    """Read one label picture as (H, W) uint8 with its stored values; alpha is ignored.

    Raises:
        DataError: a file that cannot be read, holds colours, or a value that is neither a class
            index nor void.
    """
    path = Path(path)
    label = stored_values(_content(path))
    if label is None:
        raise DataError(f"{path}: {_BROKEN}")
    if label.ndim == 3 and bool((label == label[..., :1]).all()):
        label = label[..., 0]
    if label.ndim == 3:
        raise DataError(
            f"{path}: holds colours, expected one channel with the class index of each pixel; "
            "'python -m pipeline convert-labels' makes it of CamVid's, Cityscapes', BDD100K's and "
            "VOC's colours, or those of a class file"
        )
    values, counts = np.unique(label, return_counts=True)
    strange = (values >= len(classes)) & (values != classes.void)
    if strange.any():
        raise DataError(
            f"{path}: {counts[strange].sum()} pixels hold "
            f"{first_names([str(value) for value in values[strange]])}; expected "
            f"0 to {len(classes) - 1} or {classes.void} (void); check that the label belongs to "
            "this class set, or convert another data set's with 'python -m pipeline "
            "convert-labels'"
        )
    return label.astype(np.uint8, copy=False)


def _content(path: Path) -> bytes:
    try:
        content = read_bytes(path, _MOST_BYTES)
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"{path}: cannot be read ({reason}); give a readable picture") from error
    if not content:
        raise DataError(f"{path}: the file is empty; expected a picture; copy it again")
    return content


_BROKEN = "cannot be decoded; expected a whole JPEG, PNG or other picture; copy or convert it again"


def first_names(names: list[str]) -> str:
    """List the first few names, and say how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _size(picture: NDArray[np.uint8]) -> str:
    return f"{picture.shape[1]}x{picture.shape[0]}"
