"""The rows of the tables and charts in an INT8 report, in the order of the page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from calibration.quantizer.placement import Convolution
from calibration.table import CalibrationTable
from models.classes import RGB, ClassSet
from pipeline.engine.manifest import LayerPrecisions
from pipeline.evaluation.compare import Comparison
from pipeline.quantization.scales import TensorScale
from pipeline.quantization.sensitivity import Sensitivity

#: Reason for convolutions that are in the engine but not in its network.
_NO_RULE = "not among the convolutions that the placement decided on"


@dataclass(frozen=True)
class ClassRow:
    """One class; shares from 0 to 1, None where it does not occur or was not measured.

    Attributes:
        name, colour: of the class set.
        fp32, int8: IoU.
        change: IoU of INT8 minus that of FP32.
        agreement: share of the pixels with this class in FP32 that also have it in INT8.
    """

    name: str
    colour: RGB
    fp32: float | None
    int8: float | None
    change: float | None
    agreement: float | None


@dataclass(frozen=True)
class PrecisionRow:
    """Attributes: ``precision`` such as ``INT8``, ``count`` of convolutions, their ``share``."""

    precision: str
    count: int
    share: float


@dataclass(frozen=True)
class KeptGroup:
    """Attributes: ``reason`` of a rule; the ``layers`` it keeps, as (name, precision found)."""

    reason: str
    layers: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class SensitivityRow:
    """Attributes: ``name`` and ``layers`` of a block, its ``gain``, whether it was ``kept``."""

    name: str
    layers: int
    gain: float
    kept: bool


@dataclass(frozen=True)
class TensorRow:
    """One quantised tensor; values as on the calibration frames.

    Attributes:
        scale: how it is quantised, read from the graph.
        method: that its range was found with.
        minimum, maximum: smallest and largest value.
        largest: largest magnitude.
        clipped: share of its values beyond its own range, 0 to 1; 0 where the largest is at most
            half a step beyond the threshold, which is no more than a rounding error.
        widened: it shares the scale of a tensor with a larger range, so that less is clipped.
    """

    scale: TensorScale
    method: str
    minimum: float
    maximum: float
    largest: float
    clipped: float
    widened: bool

    @property
    def kept(self) -> float:
        """Threshold as a share of the largest magnitude, at most 1."""
        return min(self.scale.threshold / self.largest, 1.0) if self.largest else 1.0


@dataclass(frozen=True)
class LogAxis:
    """A logarithmic axis from 10 to the power ``low`` to 10 to the power ``high``."""

    low: int
    high: int

    def at(self, value: float) -> float:
        """Return the position of a magnitude, from 0 to 100; zero is at the low end."""
        if value <= 0:
            return 0.0
        place = (math.log10(value) - self.low) / (self.high - self.low)
        return round(100 * min(max(place, 0.0), 1.0), 2)


def class_rows(classes: ClassSet, comparison: Comparison) -> list[ClassRow]:
    """List every class, the largest loss first; without labels the least agreement first."""
    before, after = ({}, {}) if comparison.scores is None else (s.iou for s in comparison.scores)
    rows = [
        ClassRow(
            name,
            colour,
            before.get(name),
            after.get(name),
            comparison.iou_difference.get(name),
            comparison.agreement.get(name),
        )
        for name, colour in zip(classes.names, classes.palette, strict=True)
    ]

    def order(row: ClassRow) -> tuple[bool, float]:
        measured = row.agreement if comparison.scores is None else row.change
        return measured is None, measured or 0.0  # classes without a figure come last

    return sorted(rows, key=order)


def precision_rows(layers: LayerPrecisions) -> list[PrecisionRow]:
    """Count convolutions per precision, the lowest precision first."""
    total = len(layers.convolutions)
    return [
        PrecisionRow(precision.upper(), count, count / total if total else 0.0)
        for precision, count in layers.counts().items()
    ]


def kept_groups(layers: LayerPrecisions, decided: Iterable[Convolution]) -> list[KeptGroup]:
    """Group the convolutions in floating point by the reason, in graph order."""
    reasons = {convolution.name: convolution.reason for convolution in decided}
    groups: dict[str, list[tuple[str, str]]] = {}
    for name, precision in layers.convolutions.items():
        if precision != "int8":
            reason = reasons.get(name) or _NO_RULE
            groups.setdefault(reason, []).append((name, precision.upper()))
    return [KeptGroup(reason, tuple(members)) for reason, members in groups.items()]


def sensitivity_rows(
    ranked: Sequence[Sensitivity], table: CalibrationTable
) -> list[SensitivityRow]:
    """List the blocks that were tried, the most sensitive first."""
    kept = set(table.high_precision)
    return [
        SensitivityRow(one.name, len(one.layers), one.gain, kept.issuperset(one.layers))
        for one in ranked
    ]


def tensor_rows(scales: Iterable[TensorScale], table: CalibrationTable) -> list[TensorRow]:
    """Combine the scales of a graph with what the calibration table has of the same tensors."""
    rows = []
    for scale in scales:
        site = table.sites[scale.tensor]
        method = table.method
        assert method is not None  # a table without one builds nothing
        own = site.thresholds[method][scale.dtype]
        largest = max(abs(site.minimum), abs(site.maximum))
        # Float32 in the graph, six digits in the table.
        widened = scale.threshold > own * (1 + 1e-5)
        reached = scale.threshold + scale.scale / 2 >= largest
        clipped = 0.0 if reached else site.clipped[method][scale.dtype]
        rows.append(TensorRow(scale, method, site.minimum, site.maximum, largest, clipped, widened))
    return rows


def axis_of(rows: Iterable[TensorRow]) -> LogAxis:
    """Return an axis that covers every threshold and every largest magnitude."""
    shown = [value for row in rows for value in (row.scale.threshold, row.largest) if value > 0]
    low = math.floor(math.log10(min(shown, default=1.0)))
    return LogAxis(low, max(math.ceil(math.log10(max(shown, default=1.0))), low + 1))
