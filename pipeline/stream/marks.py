"""Draws the outlines and texts of zones over a picture."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from pipeline.stream.frame import Image, Mark

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_CALM = (245, 245, 245)
_ALERT = (40, 40, 255)
_SHADOW = (20, 18, 16)
_FILL = 0.35


def draw_marks(image: Image, marks: Sequence[Mark]) -> None:
    """Draw the outline and text of zones into (H, W, 3) uint8 BGR; alerts are red and filled."""
    height, width = image.shape[:2]
    scale = max(0.45, min(width / 1280, height / 720))
    line = max(1, round(2 * scale))
    for mark in marks:
        corners = np.round(np.array(mark.polygon) * [width - 1, height - 1]).astype(np.int32)
        if mark.alert:
            _fill(image, corners)
        cv2.polylines(image, [corners], True, _SHADOW, 3 * line, cv2.LINE_AA)
        cv2.polylines(image, [corners], True, _ALERT if mark.alert else _CALM, line, cv2.LINE_AA)
        text = mark.text.encode("ascii", "replace").decode()  # OpenCV's font has ASCII only
        _write(image, text, corners, mark.alert, scale)


def _fill(image: Image, corners: np.typing.NDArray[np.int32]) -> None:
    """Blend the colour of alerts into a polygon."""
    left, top, columns, rows = cv2.boundingRect(corners)
    part = image[top : top + rows, left : left + columns]
    filled = part.copy()
    cv2.fillPoly(filled, [corners - np.array([left, top], np.int32)], _ALERT)
    part[:] = cv2.addWeighted(part, 1 - _FILL, filled, _FILL, 0)


def _write(
    image: Image, text: str, corners: np.typing.NDArray[np.int32], alert: bool, scale: float
) -> None:
    """Write above the highest corner, within the picture."""
    height, width = image.shape[:2]
    (columns, rows), below = cv2.getTextSize(text, _FONT, 0.55 * scale, 1)
    pad = max(2, round(5 * scale))
    x, y = corners[corners[:, 1].argmin()].tolist()
    left = max(0, min(x, width - columns - 2 * pad))
    bottom = min(height, max(y - pad, rows + below + 2 * pad))
    top = max(0, bottom - rows - below - 2 * pad)
    ground = _ALERT if alert else _SHADOW
    cv2.rectangle(image, (left, top), (left + columns + 2 * pad, bottom), ground, cv2.FILLED)
    place = (left + pad, bottom - pad - below)
    cv2.putText(image, text, place, _FONT, 0.55 * scale, _CALM, 1, cv2.LINE_AA)
