"""The sections of a manifest as records, which ``models.typed`` checks a file's values against.

Sections whose keys depend on what was measured are typed dictionaries: a figure that was not
measured has no key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from calibration.records import Fingerprint, Measured

_LARGEST_BATCH = 1024
_Side = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class FrameRange:
    """The frames that an engine takes.

    Attributes:
        dtype, layout, order: of the pixels.
        batch: most frames in one run.
        batch_range: fewest, usual and most frames in one run.
        smallest, largest: side of a frame in pixels.
        sizes: (width, height) of the smallest, the usual and the largest frame; None in manifests
            of old engines.

    Raises:
        ValueError: an impossible range.
    """

    dtype: str = "uint8"
    layout: str = "NHWC"
    order: str = "bgr"
    batch: int = 1
    batch_range: tuple[int, int, int] = (1, 1, 1)
    smallest: int
    largest: int
    sizes: tuple[_Side, _Side, _Side] | None = None

    def __post_init__(self) -> None:
        fewest, usual, most = self.batch_range
        if not 1 <= fewest <= usual <= most <= _LARGEST_BATCH or not self.batch >= 1:
            raise ValueError(f"batch_range is {self.batch_range}")
        sides = [side for size in self.sizes or () for side in size]
        if min(self.smallest, self.largest, *sides) < 1:
            raise ValueError(f"frames from {self.smallest} to {self.largest} pixels")

    @property
    def ends(self) -> tuple[_Side, _Side]:
        """(width, height) of the smallest and of the largest frame."""
        if self.sizes is None:
            return (self.smallest, self.smallest), (self.largest, self.largest)
        return self.sizes[0], self.sizes[-1]


class Parity(TypedDict, total=False):
    """Share of pixels, 0..1, with the class that ``reference`` gives, on the worst of frames."""

    frames: int
    pixel_agreement: float
    reference: str
    computed_by: str


class Accuracy(TypedDict, total=False):
    """Measured at build; shares from 0 to 1.

    ``parity``: of the engine with PyTorch. ``fp16_graph``: of the FP16 graph with FP32. ``miou``,
    ``iou`` by class, ``pixel_agreement`` with FP32, and ``frames``, the number that these were
    measured on. For INT8 also FP32's ``miou`` and ``iou``, the runtime that it was ``judged_on``,
    the accuracy gate's ``attempts``, ``sensitivity`` by layer, ``speedup``.
    """

    parity: Parity
    fp16_graph: Parity
    frames: int
    miou: float
    miou_fp32: float
    iou: Mapping[str, float | None]
    iou_fp32: Mapping[str, float | None]
    pixel_agreement: float
    judged_on: str
    attempts: Sequence[Mapping[str, Any]]
    sensitivity: Mapping[str, float]
    speedup: float


class Calibration(Fingerprint, total=False):
    """How INT8 was calibrated, from its table; the layers ``kept`` in floating point -> why."""

    table: str
    method: str | None
    methods: Mapping[str, str]
    measured: Measured
    high_precision: Sequence[str]
    kept: Mapping[str, str]
