"""Measures one zone frame by frame, and decides when its alert begins and ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.classes import ClassSet
from pipeline.errors import SinkError
from pipeline.stream.frame import Mark, Result
from pipeline.stream.zones import Zone


@dataclass(frozen=True)
class Measurement:
    """One zone in one frame.

    Attributes:
        zone: its name.
        shares: share of the zone that each of its classes covers, 0..1.
        share: sum of ``shares``.
        area: the same in pixels of the camera's picture.
        alert: whether the threshold has been met for the zone's ``seconds``.
        event: ``begin`` or ``end`` in the frame in which ``alert`` changed; else None.
        held: seconds for which the threshold has been met without a break.
    """

    zone: str
    shares: dict[str, float]
    share: float
    area: float
    alert: bool
    event: str | None
    held: float


class ZoneWatch:
    """Measures one zone; needs every frame of a source, in order.

    Raises:
        SinkError: the network lacks a class of the zone.
    """

    def __init__(self, zone: Zone, classes: ClassSet) -> None:
        by_name = {name.lower(): index for index, name in enumerate(classes.names)}
        unknown = [name for name in zone.classes if name.lower() not in by_name]
        if unknown:
            raise SinkError(
                f"zone {zone.name} has the class {unknown[0]}, the network has "
                f"{', '.join(classes.names)}; give one of these"
            )
        self.zone = zone
        self.alert = False
        self._indices = sorted({by_name[name.lower()] for name in zone.classes})
        self._names = classes.names
        self._mask: NDArray[np.uint8] | None = None
        self._box = (slice(0), slice(0))
        self._mask_for: tuple[int, ...] = ()
        self._met_since: float | None = None
        self._missed_since: float | None = None

    def measure(self, result: Result, seconds: float) -> Measurement:
        """Measure a frame at ``seconds`` of the source's own time."""
        counts, size = self._count(result.classes)
        shares = {self._names[index]: float(counts[index]) / size for index in self._indices}
        share = sum(shares.values())
        height, width = result.frame.image.shape[:2]
        area = share * size * (width * height / result.classes.size)
        event = self._follow(share, area, seconds)
        held = 0.0 if self._met_since is None else max(0.0, seconds - self._met_since)
        return Measurement(self.zone.name, shares, share, area, self.alert, event, held)

    def mark(self, measured: Measurement) -> Mark:
        """Return the outline and text to draw over the picture."""
        text = f"{self.zone.name} {100 * measured.share:.1f} %"
        return Mark(self.zone.polygon, text, measured.alert)

    def _count(self, classes: NDArray[np.uint8]) -> tuple[Sequence[float], int]:
        """Return how many pixels of the zone each class has, and how many the zone has."""
        if self._mask is None or self._mask_for != classes.shape:
            self._mask_for = classes.shape
            self._draw_mask(*classes.shape)
        assert self._mask is not None
        part = np.ascontiguousarray(classes[self._box])
        counts = cv2.calcHist([part], [0], self._mask, [256], [0, 256]).ravel().tolist()
        return counts, max(1, cv2.countNonZero(self._mask))

    def _draw_mask(self, height: int, width: int) -> None:
        """Draw the zone's mask, of the size of its bounding box; at least one pixel is set."""
        scale = np.array([width - 1, height - 1])
        corners = np.round(np.array(self.zone.polygon) * scale).astype(np.int32)
        left, top, columns, rows = cv2.boundingRect(corners)
        self._box = (slice(top, top + rows), slice(left, left + columns))
        self._mask = np.zeros((rows, columns), np.uint8)
        cv2.fillPoly(self._mask, [corners - np.array([left, top], np.int32)], (255,))

    def _follow(self, share: float, area: float, seconds: float) -> str | None:
        """Update the alert; return ``begin`` or ``end`` if it changed with this frame."""
        threshold = self.zone.threshold
        if threshold is None:
            return None
        if threshold.is_met(share, area):
            self._missed_since = None
            self._met_since = since = _earlier(self._met_since, seconds)
        else:
            self._met_since = None
            self._missed_since = since = _earlier(self._missed_since, seconds)
        differs = self.alert != (self._met_since is not None)
        if not differs or seconds - since < self.zone.seconds:
            return None
        self.alert = not self.alert
        return "begin" if self.alert else "end"


def _earlier(since: float | None, seconds: float) -> float:
    """When a state began: now if it is new, or if the source's time went back."""
    return seconds if since is None or seconds < since else since
