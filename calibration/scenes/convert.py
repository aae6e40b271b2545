"""Conversion of other data sets' labels: class indices, one channel, named like the picture."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.errors import DataError
from calibration.scenes.label_kinds import LABEL_KINDS, LabelKind
from calibration.scenes.natural_order import natural
from calibration.scenes.png import palette_of, stored_values

#: Endings of label files after the name of their picture.
_BEHIND_LABELS = re.compile(
    r"(?:_gt(?:Fine|Coarse))?_(?:L|labelIds|labelTrainIds|color|train_id|train_color|color_mask|"
    r"label|labels|mask)$"
)
_BEHIND_PICTURES = re.compile(r"_leftImg8bit$")
#: Other annotations of Cityscapes beside the labels.
_OTHERS = re.compile(r"_(?:instanceIds|instanceTrainIds|polygons)$")
#: Share of pixels that may have an unknown colour, such as soft edges of a brush.
_STRAY = 0.001
_GREYS = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, 1)
#: Labels whose form is examined.
_LOOKED_AT = 8


@dataclass(frozen=True)
class Converted:
    """A label picture that was converted.

    Attributes:
        name: of its picture, without suffix.
        label: (H, W) uint8 class indices and void.
        strays: pixels with the colour of no class, which become void.
    """

    name: str
    label: NDArray[np.uint8]
    strays: int


def label_files(folder: Path) -> list[Path]:
    """Find label pictures in a folder and its subfolders.

    Of Cityscapes' several label files per picture those with ids are taken, else those in colour.

    Raises:
        DataError: no such folder, or no PNG in it.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give the folder of the label pictures")
    found = sorted(
        (
            path
            for path in folder.rglob("*")
            if path.suffix.lower() == ".png" and path.is_file() and not _OTHERS.search(path.stem)
        ),
        key=natural,
    )
    for ending in ("_labelTrainIds", "_labelIds", "_color"):
        chosen = [path for path in found if path.stem.endswith(ending)]
        if chosen and not ending.startswith("_color"):
            return chosen
    if not found:
        raise DataError(f"{folder}: no PNG in this folder; give the folder of the label pictures")
    return found


def picture_name(path: Path) -> str:
    """Return the name that a picture and its label share."""
    return _BEHIND_PICTURES.sub("", _BEHIND_LABELS.sub("", path.stem))


def kind_of(files: Sequence[Path]) -> LabelKind:
    """Detect the form of labels by the values and colours of some of them.

    Raises:
        DataError: no known form fits, or several do.
    """
    if files[0].stem.endswith(("_labelTrainIds", "_train_id")):
        return LABEL_KINDS["bdd100k"]
    colours: set[tuple[int, ...]] = set()
    values: set[int] = set()
    for path in files[:: max(1, len(files) // _LOOKED_AT)]:
        stored, palette = _read(path)
        if stored.ndim == 3:
            colours |= _common_colours(stored)
        elif palette is not None:
            colours |= {tuple(map(int, palette[v])) for v in np.unique(stored) if v < len(palette)}
        else:
            values |= {int(value) for value in np.unique(stored)}
    # BDD100K's colours are Cityscapes', and become the same labels.
    kinds = [kind for kind in LABEL_KINDS.values() if kind.name != "bdd100k"]
    fits = [kind for kind in kinds if colours and colours <= set(kind.colours)]
    if not fits and all(len(set(colour)) == 1 for colour in colours):
        values |= {colour[0] for colour in colours}
        if values <= {0, 255}:
            fits = [LABEL_KINDS["binary"]]
        elif max(values) in range(19, 34):
            fits = [LABEL_KINDS["cityscapes"]]
    if len(fits) == 1:
        return fits[0]
    seen = sorted(colours)[:4] if colours else sorted(values)[:8]
    raise DataError(
        f"{files[0].parent}: labels that hold {', '.join(map(str, seen))} ... fit "
        f"{' and '.join(kind.name for kind in fits) or 'none of the known data sets'}; say what "
        f"they are with --from {'|'.join(LABEL_KINDS)}, or give the colours with --classes FILE"
    )


def convert(files: Sequence[Path], kind: LabelKind) -> Iterator[Converted]:
    """Convert label pictures one by one.

    Raises:
        DataError: one that cannot be read, or has values or colours that are not of ``kind``.
    """
    for path in files:
        stored, palette = _read(path)
        if stored.ndim == 2 and palette is not None and _fits(palette, stored, kind):
            stored = palette[stored]
        elif stored.ndim == 3 and bool((stored == stored[..., :1]).all()) and kind.values:
            grey = stored[..., 0]
            stored = stored if _fits(_GREYS, grey, kind) else grey
        label, strays = (_by_colour if stored.ndim == 3 else _by_value)(path, stored, kind)
        yield Converted(picture_name(path), label, strays)


def _fits(palette: NDArray[np.uint8], stored: NDArray[np.generic], kind: LabelKind) -> bool:
    """Whether all stored values have a palette colour of ``kind``."""
    used = [int(value) for value in np.unique(stored)]
    if used[-1] >= len(palette):
        return False
    return {tuple(map(int, palette[value])) for value in used} <= set(kind.colours)


def _read(path: Path) -> tuple[NDArray[np.generic], NDArray[np.uint8] | None]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the folder") from error
    stored = stored_values(content)
    if stored is None:
        raise DataError(f"{path}: is not a complete PNG; copy it again")
    return stored, palette_of(content)


def _common_colours(stored: NDArray[np.generic]) -> set[tuple[int, ...]]:
    packed = _packed(stored)
    colours, counts = np.unique(packed, return_counts=True)
    common = colours[counts > _STRAY * packed.size]
    return {(int(one) >> 16, int(one) >> 8 & 255, int(one) & 255) for one in common}


def _packed(stored: NDArray[np.generic]) -> NDArray[np.int64]:
    wide = stored.astype(np.int64)
    return wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]


def _by_colour(
    path: Path, stored: NDArray[np.generic], kind: LabelKind
) -> tuple[NDArray[np.uint8], int]:
    if not kind.colours:
        raise DataError(f"{path}: holds colours, expected one channel of {kind.name} labels")
    if stored.dtype != np.uint8:
        raise DataError(f"{path}: holds colours of 16 bits, expected 8; convert it first")
    packed = _packed(stored)
    known = sorted((r << 16 | g << 8 | b, index) for (r, g, b), index in kind.colours.items())
    keys = np.array([key for key, _ in known])
    places = np.clip(np.searchsorted(keys, packed), 0, len(keys) - 1)
    right = keys[places] == packed
    label = np.where(right, np.array([index for _, index in known])[places], kind.classes.void)
    strays = int((~right).sum())
    if strays > _STRAY * packed.size:
        strange, counts = np.unique(packed[~right], return_counts=True)
        most = int(strange[counts.argmax()])
        raise DataError(
            f"{path}: {strays} pixels have colours that are not of {kind.name} labels, mostly "
            f"{most >> 16},{most >> 8 & 255},{most & 255}; give another --from, or the colours "
            "with --classes FILE"
        )
    return label.astype(np.uint8), strays


def _by_value(
    path: Path, stored: NDArray[np.generic], kind: LabelKind
) -> tuple[NDArray[np.uint8], int]:
    values = np.unique(stored)
    strange = [int(value) for value in values if int(value) not in kind.values]
    if strange:
        raise DataError(
            f"{path}: holds the values {', '.join(map(str, strange[:4]))}, which are not of "
            f"{kind.name} labels; give another --from"
        )
    table = np.full(256, kind.classes.void, np.uint8)
    for value, index in kind.values.items():
        table[value] = index
    return table[stored.astype(np.uint8)], 0


def write_label(path: Path, label: NDArray[np.uint8]) -> None:
    """Write a label picture.

    Raises:
        OSError: it cannot be written.
    """
    whole, content = cv2.imencode(".png", label)
    if not whole:
        raise OSError("OpenCV cannot encode it")
    path.write_bytes(content.tobytes())
