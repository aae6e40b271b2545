"""Class maps drawn over frames: table look-up and blend in OpenCV, no Python per pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from models.classes import ClassSet
from pipeline.runtimes.session import Tint
from pipeline.stream.frame import ClassMap, Image

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_WHITE = (255, 255, 255)
_PANEL = (28, 24, 22)
_PANEL_OPACITY = 0.72
_TRACK = (70, 64, 60)


@dataclass(frozen=True)
class OverlayOptions:
    """How an overlay looks.

    Attributes:
        opacity: of the class colours over the picture, 0..1.
        legend: draw class names, colours and shares where the frame is large enough for them.
        fine_edges: enlarge each class separately, so that outlines are smooth instead of stepped.
        hidden: indices of classes that are neither coloured nor in the legend.
    """

    opacity: float = 0.5
    legend: bool = True
    fine_edges: bool = False
    hidden: frozenset[int] = frozenset()


class Palette:
    """Class indices to BGR colours; indices without a class are black."""

    def __init__(self, classes: ClassSet) -> None:
        self._table = np.zeros((256, 1, 3), np.uint8)
        for index, (red, green, blue) in enumerate(classes.palette):
            self._table[index, 0] = (blue, green, red)

    def colours(self, classes: ClassMap) -> Image:
        """(h, w) uint8 class map -> (h, w, 3) uint8 BGR."""
        return np.asarray(cv2.applyColorMap(classes, self._table), dtype=np.uint8)

    def __bytes__(self) -> bytes:
        """256 times blue, green, red."""
        return self._table.tobytes()

    def __getitem__(self, index: int) -> tuple[int, int, int]:
        blue, green, red = self._table[index, 0].tolist()
        return blue, green, red


def class_shares(classes: ClassMap, count: int) -> NDArray[np.float64]:
    """Share of the picture that each class covers, 0..1; indices from ``count`` on are left out."""
    pixels = cv2.calcHist([classes], [0], None, [256], [0, 256]).ravel()
    return np.asarray(pixels[:count], dtype=np.float64) / classes.size


def enlarge_finely(classes: ClassMap, size: tuple[int, int]) -> ClassMap:
    """Enlarge a class map along smooth outlines.

    Each class is enlarged linearly as a score from 0 to 255, and the highest score wins, ties go to
    the lower class.

    Args:
        classes: (h, w) uint8.
        size: (width, height) in pixels.

    Returns:
        (height, width) uint8.
    """
    width, height = size
    best = np.zeros((height, width), np.uint8)
    enlarged = np.zeros((height, width), np.uint8)
    present = cv2.calcHist([classes], [0], None, [256], [0, 256]).ravel()
    for index in np.flatnonzero(present).tolist():
        score = cv2.resize(cv2.inRange(classes, (index,), (index,)), size)
        enlarged[cv2.compare(score, best, cv2.CMP_GT) > 0] = index
        cv2.max(score, best, dst=best)
    return enlarged


class Overlay:
    """Draws results of one source; the legend is rendered once per frame size."""

    def __init__(self, classes: ClassSet, options: OverlayOptions | None = None) -> None:
        self._classes = classes
        self._options = options or OverlayOptions()
        self._palette = Palette(classes)
        #: 255 for hidden classes, where the picture is left uncoloured.
        self._uncoloured = np.zeros(256, np.uint8)
        self._uncoloured[list(self._options.hidden)] = 255
        self._enlarged: cv2.typing.MatLike | None = None
        self._colours: cv2.typing.MatLike | None = None
        self._legend: _Legend | None = None
        self._legend_for: tuple[int, int] | None = None

    @property
    def tint(self) -> Tint | None:
        """Colours and opacity for a session that blends; None where only this class can draw."""
        if self._options.fine_edges or self._options.hidden:
            return None
        return Tint(bytes(self._palette), self._options.opacity)

    def draw(
        self, image: Image, classes: ClassMap, shares: NDArray[np.float64], status: str
    ) -> Image:
        """Blend class colours over a frame, and draw the legend and the status line.

        Args:
            image: (H, W, 3) uint8 BGR; left as it is.
            classes: (h, w) uint8 class indices, of any size.
            shares: (classes,) share per class, 0..1.
            status: text for the top left corner, in ASCII; empty for none.

        Returns:
            A new (H, W, 3) uint8 BGR picture.
        """
        height, width = image.shape[:2]
        opacity = self._options.opacity
        coloured = self._coloured(classes, (width, height))
        blended = cv2.addWeighted(image, 1 - opacity, coloured, opacity, 0)
        if self._options.hidden:
            kept = cv2.LUT(classes, self._uncoloured)
            kept = cv2.resize(kept, (width, height), interpolation=cv2.INTER_NEAREST)
            cv2.copyTo(image, kept, blended)
        return self.finish(np.asarray(blended, dtype=np.uint8), shares, status)

    def finish(self, drawn: Image, shares: NDArray[np.float64], status: str) -> Image:
        """Draw the legend and the status line into a blended picture, and return it."""
        height, width = drawn.shape[:2]
        if self._legend_for != (width, height):
            self._legend_for = (width, height)
            self._legend = self._fitting_legend(width, height)
        if self._legend is not None:
            self._legend.draw(drawn, shares)
        _draw_status(drawn, status)
        return drawn

    def _coloured(self, classes: ClassMap, size: tuple[int, int]) -> cv2.typing.MatLike:
        if self._options.fine_edges:
            return self._palette.colours(enlarge_finely(classes, size))
        # The colours are looked up before enlarging, on the small map. Enlarging four bytes a pixel
        # as one number takes 0.6 of the time of three bytes, both conversions included. OpenCV
        # reuses both buffers while the frame size stays the same.
        small = cv2.cvtColor(self._palette.colours(classes), cv2.COLOR_BGR2BGRA)
        self._enlarged = cv2.resize(
            small, size, dst=self._enlarged, interpolation=cv2.INTER_NEAREST
        )
        self._colours = cv2.cvtColor(self._enlarged, cv2.COLOR_BGRA2BGR, dst=self._colours)
        return self._colours

    def _fitting_legend(self, width: int, height: int) -> _Legend | None:
        if not self._options.legend:
            return None
        shown = [index for index in range(len(self._classes)) if index not in self._options.hidden]
        if not shown:
            return None
        legend = _Legend(self._classes, self._palette, shown, _text_scale(width, height))
        fits = legend.bottom <= 0.8 * height and legend.width <= 0.4 * width
        return legend if fits else None


class _Legend:
    """Panel in the upper left corner: swatch, name and a bar for the share of each class.

    In that corner it covers sky and houses, not the road ahead. It is drawn below the status line.

    Attributes:
        width: of the panel.
        bottom: row of the frame at which it ends.
    """

    def __init__(
        self, classes: ClassSet, palette: Palette, shown: Sequence[int], scale: float
    ) -> None:
        self._palette = palette
        self._shown = tuple(shown)
        self._unit = unit = max(2, round(8 * scale))
        self._row = round(2.75 * unit)
        sizes = [cv2.getTextSize(classes.names[index], _FONT, 0.5 * scale, 1)[0] for index in shown]
        text_width = max(width for width, _ in sizes)
        self._bar_left = 4 * unit + text_width + unit
        self._bar_width = 7 * unit
        self.width = self._bar_left + self._bar_width + 2 * unit
        self._height = self._row * len(shown) + 2 * unit
        # The status line: its text, one unit around it and one above.
        self._upper = cv2.getTextSize("0", _FONT, 0.6 * scale, 1)[0][1] + 4 * unit
        self.bottom = self._upper + self._height
        self._panel = np.full((self._height, self.width, 3), _PANEL, np.uint8)
        for place, index in enumerate(shown):
            name, top = classes.names[index], self._top(place)
            side = round(1.75 * unit)
            box = (unit, top, side, side)
            cv2.rectangle(self._panel, box, palette[index], cv2.FILLED)
            baseline = top + side - round(0.3 * unit)
            at = (round(3.75 * unit), baseline)
            cv2.putText(self._panel, name, at, _FONT, 0.5 * scale, _WHITE, 1, cv2.LINE_AA)
            self._draw_bar(self._panel, place, self._bar_width, _TRACK)
        # Only the panel's background is translucent: colours must look as in the palette.
        self._drawn = (self._panel != _PANEL).any(axis=2).astype(np.uint8)

    def _top(self, place: int) -> int:
        return self._unit + self._row * place + round(0.5 * self._unit)

    def _draw_bar(self, panel: Image, place: int, length: int, colour: Sequence[int]) -> None:
        height = max(1, round(1.75 * self._unit) - self._unit)
        bar = (self._bar_left, self._top(place) + self._unit // 2, length, height)
        cv2.rectangle(panel, bar, colour, cv2.FILLED)

    def draw(self, image: Image, shares: NDArray[np.float64]) -> None:
        """Blend the panel into ``image`` and fill the bars; a full bar is the whole picture."""
        left = self._unit
        corner = image[self._upper : self.bottom, left : left + self.width]
        _darken(corner)
        cv2.copyTo(self._panel, self._drawn, corner)
        for place, index in enumerate(self._shown):
            if share := float(shares[index]):
                length = max(1, round(self._bar_width * share))  # even a small pole shows a pixel
                self._draw_bar(corner, place, length, self._palette[index])


def _draw_status(image: Image, status: str) -> None:
    """Draw a line of text on a dark strip in the top left corner, if it fits into the frame."""
    if not status:
        return
    height, width = image.shape[:2]
    scale = _text_scale(width, height)
    unit = max(2, round(8 * scale))
    (text_width, text_height), _ = cv2.getTextSize(status, _FONT, 0.6 * scale, 1)
    box_width, box_height = text_width + 2 * unit, text_height + 2 * unit
    if box_width > 0.6 * width:
        return
    strip = image[unit : unit + box_height, unit : unit + box_width]
    _darken(strip)
    place = (2 * unit, unit + box_height - unit)
    cv2.putText(image, status, place, _FONT, 0.6 * scale, _WHITE, 1, cv2.LINE_AA)


def _darken(part: Image) -> None:
    """Blend the panel's colour into part of a picture, which may be empty at the edge."""
    if part.size:
        ground = _ground(*part.shape[:2])
        part[:] = cv2.addWeighted(part, 1 - _PANEL_OPACITY, ground, _PANEL_OPACITY, 0)


@lru_cache(maxsize=32)  # a legend, and the few lengths of the status line
def _ground(rows: int, columns: int) -> Image:
    return np.full((rows, columns, 3), _PANEL, np.uint8)


def _text_scale(width: int, height: int) -> float:
    """Scale of text for a picture: 1.0 at 1280x720, 0.6 at least to stay readable."""
    return max(0.6, min(width / 1280, height / 720))
