"""Text, captions, layout and PNG files of the views."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.scenes.png import with_comment
from models.atomic import atomic_path
from pipeline.errors import OutputError
from pipeline.stream.frame import Image
from pipeline.stream.sinks.output_file import MARK, is_ours

Colour = tuple[int, int, int]

WHITE: Colour = (255, 255, 255)
PAPER: Colour = (28, 24, 22)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_TEXT_SCALE = 0.5
_LINE = 22
_MARGIN = 12
_SWATCH = 14
_GAP = 8


@dataclass(frozen=True)
class Note:
    """A paragraph of a caption: ``text`` in ASCII, with a swatch of ``colour`` before it."""

    text: str
    colour: Colour | None = None


def heat(values: NDArray[np.floating]) -> Image:
    """Colour (H, W) values from 0 (black) over red to 1 (light yellow), as BGR."""
    grey = np.rint(255 * np.clip(values, 0, 1)).astype(np.uint8)
    return np.asarray(cv2.applyColorMap(grey, cv2.COLORMAP_INFERNO), np.uint8)


def enlarged(image: Image, width: int, height: int) -> Image:
    """Enlarge by repeating pixels, so that each stays visible."""
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)


def in_columns(tiles: Sequence[Image], columns: int) -> Image:
    """Put tiles of one size into rows of ``columns``, from left to right and top to bottom."""
    height, width = (side + _GAP for side in tiles[0].shape[:2])
    rows = -(-len(tiles) // columns)
    sheet = np.full((rows * height + _GAP, columns * width + _GAP, 3), PAPER, np.uint8)
    for i, tile in enumerate(tiles):
        top, left = _GAP + i // columns * height, _GAP + i % columns * width
        sheet[top : top + height - _GAP, left : left + width - _GAP] = tile
    return sheet


def _write(image: Image, text: str, x: int, baseline: int) -> None:
    place = (x, baseline)
    cv2.putText(image, text, place, _FONT, _TEXT_SCALE, WHITE, 1, cv2.LINE_AA)


def _swatch(image: Image, note: Note, x: int, top: int) -> None:
    if note.colour is not None:
        box = (x, top + (_LINE - _SWATCH) // 2, _SWATCH, _SWATCH)
        cv2.rectangle(image, box, note.colour, cv2.FILLED)


def captioned(image: Image, notes: Sequence[Note]) -> Image:
    """Return ``image`` with a panel below that holds the notes, wrapped to its width."""
    width = image.shape[1]
    left = _MARGIN + _SWATCH + _MARGIN
    rows = [(note, _wrapped(note.text, width - left - _MARGIN)) for note in notes]
    height = 2 * _MARGIN + _LINE * sum(len(lines) for _, lines in rows)
    panel = np.full((height, width, 3), PAPER, np.uint8)
    top = _MARGIN
    for note, lines in rows:
        _swatch(panel, note, _MARGIN, top)
        for line in lines:
            _write(panel, line, left, top + _LINE - 6)
            top += _LINE
    return np.vstack([image, panel])


def legend(entries: Sequence[Note], width: int) -> Image:
    """Return a panel of ``width`` with short notes in as many columns as fit."""
    before = _MARGIN + _SWATCH + _MARGIN
    column = before + max((_text_width(entry.text) for entry in entries), default=0) + _MARGIN
    columns = max(1, (width - _MARGIN) // column)
    rows = -(-len(entries) // columns)
    panel = np.full((_MARGIN + _LINE * rows, width, 3), PAPER, np.uint8)
    for i, entry in enumerate(entries):
        left, top = i % columns * column, i // columns * _LINE
        _swatch(panel, entry, left + _MARGIN, top)
        _write(panel, entry.text, left + before, top + _LINE - 6)
    return panel


def titled(image: Image, title: str) -> Image:
    """Return ``image`` with one line above it; a title that is too long ends in dots."""
    head = np.full((_LINE + 6, image.shape[1], 3), PAPER, np.uint8)
    room, shown = image.shape[1] - 8, title
    while _text_width(shown) > room and len(title) > 1:
        title = title[:-1]
        shown = f"{title}..."
    _write(head, shown, 4, _LINE - 2)
    return np.vstack([head, image])


def _wrapped(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and _text_width(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _text_width(text: str) -> int:
    return int(cv2.getTextSize(text, _FONT, _TEXT_SCALE, 1)[0][0])


def check_png(path: Path) -> None:
    """Check that a view may be written to a path, before it is computed.

    Raises:
        OutputError: not a ``.png``, a directory, or a file that this program did not write.
    """
    if path.suffix.lower() != ".png":
        raise OutputError(f"{path} was given for a picture; give a name that ends in .png")
    try:
        if path.is_dir():
            raise OutputError(f"{path} is a directory; give the name of a file in it")
        foreign = path.exists() and not is_ours(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    if foreign:
        raise OutputError(
            f"{path} exists and was not written by roadseg; choose another name or remove it"
        )


def write_png(path: Path, image: Image) -> None:
    """Write (H, W, 3) uint8 BGR, whole or not at all; a missing folder is made.

    Raises:
        OutputError: the file cannot be written.
    """
    encoded = cv2.imencode(".png", image)[1].tobytes()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            temporary.write_bytes(with_comment(encoded, MARK))
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"{path} cannot be written ({error.strerror or error}); choose a folder that you may "
        "write to, with some space"
    )
