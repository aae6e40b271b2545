"""The array that everything is drawn into: blue, green, red and class.

A stroke is never anti-aliased: a half-covered pixel has a mixed colour but no mixed class. Edges
are softened afterwards, on the picture alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.scenes.synthetic.camera import View
from calibration.scenes.synthetic.items import Colour, Label

if TYPE_CHECKING:  # only OpenCV from PyPI has it
    from cv2.typing import MatLike

Points = NDArray[np.float64]
Point = tuple[float, float]
#: Left, top, right and bottom, in pixels.
Box = tuple[float, float, float, float]
#: Blue, green, red and class.
Stroke = tuple[float, float, float, int]
#: Sub-pixel bits of polygon corners, so that far things move smoothly.
SHIFT = 4
#: Alpha of a texture: 0 outside, ``THROUGH`` for gaps of the object, ``SOLID`` for painted pixels.
#: Gaps in railings and bare trees have their class, as in CamVid's hand-made labels.
THROUGH, SOLID = 128, 255
#: Things smaller than this, in pixels, are drawn in one colour.
_PLAIN = 4.0


@dataclass(frozen=True)
class Texture:
    """A drawing in many sizes: BGR and alpha, (H, W, 4) uint8.

    ``levels[i][k]`` has 1 / 2**i of the height and 1 / 2**(i + k) of the width, since faces along
    the road are seen at a flat angle and would flicker if their width were not averaged.
    """

    levels: tuple[tuple[NDArray[np.uint8], ...], ...]
    see_through: bool
    mean: Colour

    @classmethod
    def from_picture(cls, picture: NDArray[np.uint8], see_through: bool = False) -> Texture:
        levels = []
        level = picture
        while True:
            narrower = [level]
            while narrower[-1].shape[1] >= 8:
                narrower.append(_shrunk(narrower[-1], 1))
            levels.append(tuple(narrower))
            if min(level.shape[:2]) < 16:
                break
            level = _shrunk(level, 2)
        painted = picture[picture[..., 3] == SOLID][:, :3]
        blue, green, red = (int(c) for c in painted.mean(axis=0))
        return cls(tuple(levels), see_through, (blue, green, red))

    def level(self, width: float, height: float) -> NDArray[np.uint8]:
        """Return the smallest size that is not smaller than asked, or the largest."""
        chosen = self.levels[0]
        for level in self.levels[1:]:
            if level[0].shape[0] < height:
                break
            chosen = level
        narrow = chosen[0]
        for picture in chosen[1:]:
            if picture.shape[1] < 0.9 * width:
                break
            narrow = picture
        return narrow


def _shrunk(picture: NDArray[np.uint8], down: int) -> NDArray[np.uint8]:
    """Half of the width, and 1 / ``down`` of the height."""
    size = (picture.shape[1] // 2, picture.shape[0] // down)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


@dataclass(frozen=True)
class Part:
    """A part of a texture.

    ``right`` and ``top`` are shares of the whole texture's width and height, counted from its left
    and top; ``left`` is the share of the rest that is cut off on the left.
    """

    left: float = 0
    right: float = 1
    top: float = 0


@dataclass(frozen=True)
class Shade:
    """Class of a textured object, place for its haze, and light on it."""

    label: Label
    s: float
    gain: float = 1


@dataclass
class Canvas:
    """Picture and labels, and the haze before them.

    Attributes:
        view: the camera.
        haze: grey of far things, 0..255.
        clear: metres over which contrast falls to a third.
        pixels: (H, W, 4) uint8, BGR and class.
    """

    view: View
    haze: float
    clear: float
    pixels: NDArray[np.uint8] = field(init=False)

    def __post_init__(self) -> None:
        self.pixels = np.zeros((self.view.height, self.view.width, 4), np.uint8)

    def air(self, s: float) -> float:
        """Share of the contrast that is left at ``s``."""
        return math.exp(-max(s - self.view.s, 0.0) / self.clear)

    def stroke(self, colour: Colour, label: Label, s: float, gain: float = 1) -> Stroke:
        """Return the colour seen from the camera, lit by ``gain`` and hazed, with its class."""
        left = self.air(s)
        fog, lit, (blue, green, red) = (1 - left) * self.haze, gain * left, colour
        return blue * lit + fog, green * lit + fog, red * lit + fog, label.value

    def polygon(self, points: Points, stroke: Stroke) -> None:
        """Fill one polygon, corners (n, 2) in pixels."""
        self.outline(fixed(points), stroke)

    def outline(self, corners: NDArray[np.int32], stroke: Stroke) -> None:
        """Fill one polygon of any form, corners (n, 2) from ``fixed``."""
        cv2.fillPoly(self.pixels, [corners], stroke, cv2.LINE_8, SHIFT)

    def fill(self, corners: NDArray[np.int32], stroke: Stroke) -> None:
        """Fill one convex polygon, corners (n, 2) from ``fixed``."""
        cv2.fillConvexPoly(self.pixels, corners, stroke, cv2.LINE_8, SHIFT)

    def polygons(self, many: Points, stroke: Stroke) -> None:
        """Fill polygons (k, n, 2) that do not overlap."""
        if len(many):
            cv2.fillPoly(self.pixels, list(fixed(many)), stroke, cv2.LINE_8, SHIFT)

    def upright(self, x: tuple[float, float], y: tuple[float, float], stroke: Stroke) -> None:
        """Fill an upright rectangle, at least one pixel wide."""
        left, right, limit = round(x[0]), round(x[1]) - 1, 1 << 14
        top, bottom = max(-limit, round(y[0])), min(limit, round(y[1]))
        if right < left:
            left = right = math.floor((x[0] + x[1]) / 2)
        if right >= 0 and left < self.view.width:
            corners = (max(-limit, left), top), (min(limit, right), max(top, bottom))
            cv2.rectangle(self.pixels, *corners, stroke, cv2.FILLED)

    def _window(self, box: Box) -> tuple[slice, slice] | None:
        """Rows and columns of the pixels whose centres a box covers; None without any."""
        left, top, right, bottom = box
        x0, x1 = max(0, math.ceil(left - 0.5)), min(self.view.width, math.ceil(right - 0.5))
        y0, y1 = max(0, math.ceil(top - 0.5)), min(self.view.height, math.ceil(bottom - 0.5))
        if x1 - x0 < 1 or y1 - y0 < 1:
            return None
        return slice(y0, y1), slice(x0, x1)

    def surface(
        self, corners: Sequence[Point], texture: Texture, shade: Shade, part: Part = Part()
    ) -> None:
        """Lay a texture onto a flat face with four corners.

        ``corners``, in pixels: where top left, top right, bottom right and bottom left of the
        texture's part come to lie.
        """
        xs, ys = zip(*corners, strict=True)
        # One pixel more on all sides: filling a polygon rounds outwards.
        window = self._window((min(xs) - 1, min(ys) - 1, max(xs) + 2, max(ys) + 2))
        if window is None:
            return
        rows, columns = window
        wide, high = max(xs) - min(xs), max(ys) - min(ys)
        if min(wide, high) < _PLAIN or wide * high < 10 * _PLAIN**2:
            stroke = self.stroke(texture.mean, shade.label, shade.s, shade.gain)
            self.fill(fixed(np.array(corners)), stroke)
            return
        local = np.array(corners) - (columns.start, rows.start)
        size = (columns.stop - columns.start, rows.stop - rows.start)
        inside = np.zeros((size[1], size[0]), np.uint8)
        cv2.fillConvexPoly(inside, fixed(local), 255, cv2.LINE_8, SHIFT)
        share = part.right * (1 - part.left)
        whole = texture.level(wide / share, high / (1 - part.top))
        picture = whole[round(part.top * whole.shape[0]) :]
        right, height = part.right * picture.shape[1], picture.shape[0]
        left = part.left * right
        source = np.array([[left, 0], [right, 0], [right, height], [left, height]], np.float32)
        matrix = cv2.getPerspectiveTransform(source, local.astype(np.float32))
        warped = cv2.warpPerspective(
            picture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        mask: MatLike = inside
        if texture.see_through:
            bars = cv2.threshold(cv2.extractChannel(warped, 3), 191, 255, cv2.THRESH_BINARY)[1]
            mask = cv2.bitwise_and(bars, inside)
        self._paint(window, warped, mask, shade)
        if texture.see_through:
            np.copyto(self.pixels[rows, columns, 3], np.uint8(shade.label), where=inside > 0)

    def sprite(self, box: Box, texture: Texture, shade: Shade) -> None:
        """Stand a texture upright into ``box``."""
        left, top, right, bottom = box
        window = self._window(box)
        if window is None or bottom - top < 2:
            return
        if bottom - top < _PLAIN:
            aside = 0.3 * (right - left)
            stroke = self.stroke(texture.mean, shade.label, shade.s, shade.gain)
            self.upright((left + aside, right - aside), (top, bottom), stroke)
            return
        rows, columns = window
        picture = texture.level(right - left, bottom - top)
        across, down = (right - left) / picture.shape[1], (bottom - top) / picture.shape[0]
        # Pixel centres lie at +0.5 on both sides of the mapping.
        x, y = left - columns.start + (across - 1) / 2, top - rows.start + (down - 1) / 2
        matrix = np.array([[across, 0, x], [0, down, y]])
        size = (columns.stop - columns.start, rows.stop - rows.start)
        warped = cv2.warpAffine(
            picture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        alpha = cv2.extractChannel(warped, 3)
        solid = 191 if texture.see_through else 127
        painted = cv2.threshold(alpha, solid, 255, cv2.THRESH_BINARY)[1]
        self._paint(window, warped, painted, shade)
        if texture.see_through:
            np.copyto(
                self.pixels[rows, columns, 3], np.uint8(shade.label), where=alpha > THROUGH // 2
            )

    def _paint(
        self, window: tuple[slice, slice], colours: MatLike, mask: MatLike, shade: Shade
    ) -> None:
        """Copy lit and hazed colours, and their class, where the mask is set."""
        left = self.air(shade.s)
        lit = cv2.convertScaleAbs(colours, alpha=left * shade.gain, beta=(1 - left) * self.haze)
        lit[..., 3] = shade.label
        cv2.copyTo(lit, mask, self.pixels[window])


def fixed(points: Points) -> NDArray[np.int32]:
    """Corners in pixels as the fixed-point numbers that OpenCV fills polygons with."""
    rounded: NDArray[np.int32] = np.rint(points * (1 << SHIFT)).astype(np.int32)
    return rounded
