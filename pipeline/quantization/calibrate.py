"""Ranges for INT8 from road scenes: histograms of every tensor to be quantised, in FP32."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from torch.fx import Interpreter, Node

from calibration.frames import CalibrationFrames
from calibration.observers.histogram import METHODS, ActivationHistogram, clipped_share, threshold
from calibration.records import Fingerprint, Measured, PerType
from calibration.table import CalibrationTable, Site
from models.spec import NetworkSpec
from models.weights import LoadedWeights
from pipeline.graph.exported import ExportedGraph
from pipeline.graph.qdq import QDQGraph
from pipeline.progress import Progress
from pipeline.stream.frame import Image

#: Frames, evenly spaced among those of the calibration, on which methods and layers are compared.
EVALUATED_FRAMES = 8
#: Largest level of signed and of unsigned bytes.
_LEVELS, _UNSIGNED_LEVELS = 127, 255
#: Why the layers in a table's ``high_precision`` stay in floating point.
_BY_THE_GATE = "listed in the calibration table: the accuracy gate keeps it in floating point"


@dataclass(frozen=True)
class Target:
    """What is quantised.

    Attributes:
        spec: of the network, as built.
        weights: that were loaded.
        exported: its deployment graph in FP32.
        kept: convolutions that stay in floating point with every table -> why.
        fp32: operations with values beyond FP16 -> why; empty where FP32 is used beside INT8.
    """

    spec: NetworkSpec
    weights: LoadedWeights
    exported: ExportedGraph
    kept: Mapping[str, str] = field(default_factory=dict)
    fp32: Mapping[str, str] = field(default_factory=dict)

    def identity(self) -> Fingerprint:
        """Return what ranges depend on besides the frames; a table must have the same."""
        return {
            "preprocessing": asdict(self.spec.input),
            "weights": self.weights.sha256 or "random",
            "graph": self.exported.fingerprint,
        }

    def quantised(
        self, table: CalibrationTable, unsigned: bool, high_precision: Iterable[str] | None = None
    ) -> QDQGraph:
        """Quantise with ``table``; ``high_precision`` takes the place of the table's own list."""
        chosen = table.high_precision if high_precision is None else tuple(high_precision)
        kept = {**dict.fromkeys(chosen, _BY_THE_GATE), **self.kept}
        return QDQGraph(self.exported, table.threshold_of, kept, unsigned, self.fp32)


def calibrate(target: Target, frames: CalibrationFrames, progress: Progress) -> CalibrationTable:
    """Record every tensor that is to be quantised over ``frames``, then choose a clipping method.

    Raises:
        CalibrationError: a tensor holds NaN or infinity; its layer is named.
        DataError: a frame can no longer be read.
    """
    recorder = _Recorder(target.exported)
    judged: list[Image] = []
    every = max(1, len(frames) // EVALUATED_FRAMES)
    for index, frame in enumerate(frames):
        progress(f"calibrating, frame {index + 1}", index / len(frames))
        recorder.count(frame)
        if index % every == 0:
            judged.append(frame)
    progress("choosing ranges", 1.0)
    table = CalibrationTable(
        model=target.spec.name,
        fingerprint={
            "frames": frames.fingerprint,
            "frame_count": len(frames),
            "source": frames.source,
            **target.identity(),
        },
        sites={histogram.name: _site(histogram) for histogram in recorder.histograms},
        method="minmax",
    )
    return _with_best_method(target, table, judged[:EVALUATED_FRAMES], progress)


class _Recorder(Interpreter):
    """Runs an exported graph, and keeps a histogram of each tensor that a placement quantises."""

    def __init__(self, exported: ExportedGraph) -> None:
        super().__init__(exported.module)
        tensors = exported.placement().tensors
        self._counted = {node.name: ActivationHistogram(name) for node, name in tensors.items()}

    @property
    def histograms(self) -> Iterable[ActivationHistogram]:
        """One histogram per tensor, in graph order."""
        return self._counted.values()

    @torch.no_grad()
    def count(self, frame: Image) -> None:
        """Add one frame, (H, W, 3) uint8 BGR."""
        self.run(torch.from_numpy(frame)[None])

    def run_node(self, n: Node) -> Any:
        """Run one operator; add its result to the histogram."""
        result = super().run_node(n)
        histogram = self._counted.get(n.name)
        if histogram is not None:
            histogram.add(result)
        return result


def _site(histogram: ActivationHistogram) -> Site:
    thresholds: dict[str, PerType] = {}
    clipped: dict[str, PerType] = {}
    for method in METHODS:
        reached = [threshold(histogram, method, levels) for levels in (_LEVELS, _UNSIGNED_LEVELS)]
        thresholds[method] = _per_type(reached)
        clipped[method] = _per_type([clipped_share(histogram, reach) for reach in reached])
    return Site(histogram.minimum, histogram.maximum, thresholds, clipped)


def _per_type(values: Sequence[float]) -> PerType:
    return {"int8": values[0], "uint8": values[1]}


def _with_best_method(
    target: Target, table: CalibrationTable, frames: list[Image], progress: Progress
) -> CalibrationTable:
    """Choose the method with which most pixels keep the class that FP32 gives them."""
    truth = class_maps(target.exported.module, frames)
    agreement = {}
    for index, method in enumerate(METHODS):
        progress(f"trying {method}", index / len(METHODS))
        tried = target.quantised(replace(table, method=method), unsigned=False)
        maps = class_maps(tried.with_dtype(torch.float32), frames)
        agreement[method] = agreement_of(truth, maps)
    best = max(METHODS, key=lambda method: agreement[method])  # the first of equals
    measured = Measured(agreement_by_method=agreement, frames=len(frames))
    return replace(table, method=best, measured=measured)


@torch.no_grad()
def class_maps(module: Callable[[torch.Tensor], torch.Tensor], frames: list[Image]) -> list[Image]:
    """Run an exported graph on ``frames`` one by one; class maps (h, w) uint8."""
    return [module(torch.from_numpy(frame)[None])[0].numpy() for frame in frames]


def agreement_of(truth: list[Image], maps: list[Image]) -> float:
    """Share of pixels, over all maps, that have the same class."""
    same = sum(int((a == b).sum()) for a, b in zip(truth, maps, strict=True))
    return same / sum(a.size for a in truth)
