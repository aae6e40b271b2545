"""Frames with different class maps from two engines: the worst ones are kept and drawn."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.classes import ClassSet
from pipeline.errors import OutputError
from pipeline.evaluation.views.canvas import (
    PAPER,
    Colour,
    Note,
    captioned,
    check_png,
    in_columns,
    legend,
    titled,
    write_png,
)
from pipeline.stream.frame import ClassMap, Image
from pipeline.stream.overlay import Palette

#: Colour of pixels that differ: not in any palette of road scenes, and drawn on grey.
HIGHLIGHT: Colour = (255, 0, 255)
#: Most pictures that a comparison writes.
PICTURES = 5
_TILE = 480
_OPACITY = 0.6
_DIMMED = 0.45
#: Diameter in pixels, and opacity, of the faint spot around each pixel that differs.
_HALO, _HALO_OPACITY = 9, 0.35
#: Largest share of differing pixels with which spots are drawn; with more they would exaggerate.
_SPARSE = 0.01
#: Most frequent changes of class that a caption lists.
_CHANGES = 3


@dataclass(frozen=True)
class Change:
    """Pixels of one class in a and another in b.

    Attributes:
        a, b: class names.
        share: of all pixels counted, 0..1.
    """

    a: str
    b: str
    share: float


@dataclass(frozen=True)
class Disagreement:
    """A frame and the class maps that two engines give it.

    Attributes:
        name: of the frame.
        image: (H, W, 3) uint8 BGR.
        a, b: (H, W) uint8 class indices, of one size.
        agreement: share of pixels of the same class, 0..1.
    """

    name: str
    image: Image
    a: ClassMap
    b: ClassMap
    agreement: float


@dataclass(frozen=True)
class Views:
    """A disagreement as four pictures of one size, (h, w, 3) uint8 BGR.

    Attributes:
        frame: the engines' input.
        differing: the frame in dark grey, with the pixels that differ in ``HIGHLIGHT``.
        a, b: class colours over the frame.
    """

    frame: Image
    differing: Image
    a: Image
    b: Image


class WorstFrames:
    """Keeps the ``keep`` frames with the largest disagreement, but none that agrees wholly."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._frames: list[Disagreement] = []

    @property
    def frames(self) -> tuple[Disagreement, ...]:
        """Largest disagreement first; of equal ones the earlier first."""
        return tuple(self._frames)

    def add(self, frame: Disagreement) -> None:
        """Add a frame, and drop the one with the least disagreement."""
        if frame.agreement < 1:
            insort(self._frames, frame, key=lambda one: one.agreement)
            del self._frames[self._keep :]


def largest_changes(counts: NDArray[np.int64], classes: ClassSet, most: int) -> tuple[Change, ...]:
    """List the pairs of different classes, most frequent first, ``most`` at most.

    ``counts`` are pixels, (classes, classes), by class in a and class in b.
    """
    changed = counts.copy()
    np.fill_diagonal(changed, 0)
    order = np.argsort(-changed, axis=None, kind="stable")[:most]
    total = int(counts.sum())
    pairs = zip(*np.unravel_index(order, changed.shape), strict=True)
    return tuple(
        Change(classes.names[a], classes.names[b], int(changed[a, b]) / total)
        for a, b in pairs
        if changed[a, b]
    )


def changes_in(frame: Disagreement, classes: ClassSet) -> tuple[Change, ...]:
    """List the most frequent pairs of different classes in one frame."""
    pairs = frame.a.astype(np.int64) * len(classes) + frame.b
    counts = np.bincount(pairs.ravel(), minlength=len(classes) ** 2)
    return largest_changes(counts.reshape(len(classes), -1), classes, _CHANGES)


def draw_disagreement(frame: Disagreement, classes: ClassSet, names: tuple[str, str]) -> Image:
    """Draw frame, class maps of a and b, and the pixels that differ, with titles and a legend.

    ``names`` are those of a and b, in ASCII. Returns (H, W, 3) uint8 BGR, about 1000 pixels wide.
    """
    views, palette = draw_views(frame, classes), Palette(classes)
    differing = f"{100 * (1 - frame.agreement):.2f} % of pixels differ"
    tiles = [
        _tile(views.frame, f"frame {frame.name}"),
        _tile(views.differing, differing),
        _tile(views.a, f"a: {names[0]}"),
        _tile(views.b, f"b: {names[1]}"),
    ]
    sheet = in_columns(tiles, 2)
    shown = np.union1d(frame.a, frame.b).tolist()
    swatches = [Note(classes.names[index], palette[index]) for index in shown]
    return np.vstack([captioned(sheet, _notes(frame, classes)), legend(swatches, sheet.shape[1])])


def draw_views(frame: Disagreement, classes: ClassSet) -> Views:
    """Draw frame, class maps of a and b, and the pixels that differ, without text."""
    palette = Palette(classes)
    small = _scaled(frame.image, frame.a.shape, cv2.INTER_AREA)
    a, b = (
        cv2.addWeighted(
            small,
            1 - _OPACITY,
            _scaled(palette.colours(one), frame.a.shape, cv2.INTER_NEAREST),
            _OPACITY,
            0,
        )
        for one in (frame.a, frame.b)
    )
    highlighted = _highlighted(small, frame)
    return Views(small, highlighted, np.asarray(a, np.uint8), np.asarray(b, np.uint8))


def claim_folder(folder: Path) -> None:
    """Make the folder of pictures, before any work is done, and check that it can be written.

    Raises:
        OutputError: it cannot, or a picture would replace a file that is not ours.
    """
    probe = folder / ".roadseg.partial"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputError(
            f"--pictures {folder} cannot be written ({error.strerror or error}); give a folder "
            "that you may write to"
        ) from error
    for path in _paths(folder):
        check_png(path)


def write_disagreements(
    folder: Path, frames: Sequence[Disagreement], classes: ClassSet, names: tuple[str, str]
) -> list[Path]:
    """Draw up to ``PICTURES`` frames as ``difference-1.png`` ...; older ones are removed.

    Returns:
        The files, in the order of ``frames``.

    Raises:
        OutputError: the folder cannot be written.
    """
    paths, shown = _paths(folder), frames[:PICTURES]
    for path, frame in zip(paths, shown, strict=False):
        write_png(path, draw_disagreement(frame, classes, names))
    for path in paths[len(shown) :]:
        path.unlink(missing_ok=True)
    return paths[: len(shown)]


def _paths(folder: Path) -> list[Path]:
    return [folder / f"difference-{rank}.png" for rank in range(1, PICTURES + 1)]


def _notes(frame: Disagreement, classes: ClassSet) -> list[Note]:
    pixels = frame.a.size
    named = "; ".join(
        f"{one.a} in a, {one.b} in b: {round(one.share * pixels):,} pixels"
        for one in changes_in(frame, classes)
    )
    differing = round(pixels * (1 - frame.agreement))
    spots = " (each in a faint spot, so that it is seen)" if _is_sparse(frame) else ""
    return [
        Note(
            f"a and b give different classes here: {differing:,} of {pixels:,} pixels{spots}",
            HIGHLIGHT,
        ),
        Note(f"Most frequent: {named}."),
    ]


def _is_sparse(frame: Disagreement) -> bool:
    return 1 - frame.agreement <= _SPARSE


def _scaled(image: Image, shape: tuple[int, ...], shrink: int) -> Image:
    """Scale to a tile with the proportions of ``shape``, (height, width, ...)."""
    height, width = shape[:2]
    scale = _TILE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    how = shrink if size[0] < image.shape[1] else cv2.INTER_NEAREST  # enlarged pixels stay visible
    return np.asarray(cv2.resize(image, size, interpolation=how), np.uint8)


def _highlighted(small: Image, frame: Disagreement) -> Image:
    """Dim the picture to grey and colour what differs; single pixels stay visible when shrunk."""
    grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
    drawn = cv2.cvtColor((grey * _DIMMED).astype(np.uint8), cv2.COLOR_GRAY2BGR)
    height, width = small.shape[:2]
    how = cv2.INTER_AREA if width < frame.a.shape[1] else cv2.INTER_NEAREST
    share = (frame.a != frame.b).astype(np.float32)
    differing = cv2.resize(share, (width, height), interpolation=how) > 0
    if _is_sparse(frame):
        spot = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_HALO, _HALO))
        near = cv2.dilate(differing.astype(np.uint8), spot) > 0
        drawn[near] = drawn[near] * (1 - _HALO_OPACITY) + np.multiply(HIGHLIGHT, _HALO_OPACITY)
    drawn[differing] = HIGHLIGHT
    return np.asarray(drawn, np.uint8)


def _tile(image: Image, title: str) -> Image:
    """Centre on a tile of full width, so that tall pictures have room for their titles."""
    height, width = image.shape[:2]
    ground = np.full((height, _TILE, 3), PAPER, np.uint8)
    left = (_TILE - width) // 2
    ground[:, left : left + width] = image
    return titled(ground, title.encode("ascii", "replace").decode())
