"""Two sessions on the same frames: where they agree, how accurate and how fast each is.

``a`` is the reference (FP32, say) and ``b`` is compared with it (INT8).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from itertools import zip_longest
from typing import Any, Protocol

import numpy as np

from calibration.errors import DataError
from calibration.metrics.miou import ConfusionMatrix, Scores
from models.classes import ClassSet
from pipeline.errors import EngineError
from pipeline.evaluation.ab_timing import Interleaved, Speed
from pipeline.evaluation.accuracy import fit_to_label
from pipeline.evaluation.disagreement import Change, Disagreement, WorstFrames, largest_changes
from pipeline.runtimes.session import Session
from pipeline.stream.frame import ClassMap, Image

#: Most frequent changes of class that a comparison lists.
_CHANGES = 5


class Picture(Protocol):
    """A frame to compare on, such as a ``Sample`` of ``calibration.scenes`` or a ``Frame``.

    Attributes:
        name: unique among the frames.
        image: (H, W, 3) uint8 BGR.
        label: (H, W) uint8 class indices or void; None without ground truth.
    """

    @property
    def name(self) -> str: ...
    @property
    def image(self) -> Image: ...
    @property
    def label(self) -> ClassMap | None: ...


@dataclass(frozen=True)
class FrameAgreement:
    """Attributes: ``name`` of a frame; ``pixel_agreement``, the share of its pixels, 0..1."""

    name: str
    pixel_agreement: float


@dataclass(frozen=True)
class Comparison:
    """Two sessions compared on the same frames; shares and IoU from 0 to 1.

    Agreement counts every pixel, mIoU the labelled ones, both at the frames' own size.

    Attributes:
        frames: number compared.
        pixel_agreement: share of all pixels that have the same class in both.
        agreement: class name -> share of the pixels with this class in a that have it in b, too;
            None for a class that is not in a.
        worst_frame: the frame with the smallest agreement, the first of several.
        changes: the most frequent pairs of different classes.
        scores: of a and of b on the labelled frames; None where no frame had a label.
        speed: None where it was not measured.
        kept: frames with the largest disagreement, largest first.
    """

    frames: int
    pixel_agreement: float
    agreement: dict[str, float | None]
    worst_frame: FrameAgreement
    changes: tuple[Change, ...]
    scores: tuple[Scores, Scores] | None
    speed: Speed | None
    kept: tuple[Disagreement, ...] = ()

    @property
    def miou_drop(self) -> float | None:
        """The mIoU of a minus that of b; None without labels."""
        return None if self.scores is None else self.scores[0].miou - self.scores[1].miou

    @property
    def iou_difference(self) -> dict[str, float | None]:
        """IoU of b minus IoU of a per class; None where either has none. Empty without labels."""
        if self.scores is None:
            return {}
        a, b = (scores.iou for scores in self.scores)
        pairs = {name: (a[name], b[name]) for name in a}
        return {
            name: None if first is None or second is None else second - first
            for name, (first, second) in pairs.items()
        }

    def to_json(self) -> dict[str, Any]:
        """Return plain values; ``miou``, ``iou`` and ``fps`` are those of a and b, or None."""
        scores = self.scores
        timed = {"fps": None} if self.speed is None else self.speed.to_json()
        return {
            "frames": self.frames,
            "pixel_agreement": self.pixel_agreement,
            "agreement": self.agreement,
            "worst_frame": asdict(self.worst_frame),
            "changes": [asdict(change) for change in self.changes],
            "labelled_frames": 0 if scores is None else scores[0].frames,
            "miou": None if scores is None else [one.miou for one in scores],
            "iou": None if scores is None else [one.iou for one in scores],
            "iou_difference": None if scores is None else self.iou_difference,
            **timed,
        }


class ComparisonCounter:
    """Compares pairs of class maps, in bounded memory.

    Args:
        classes: what the class maps and labels mean.
        keep: number of frames with the largest disagreement to keep.
    """

    def __init__(self, classes: ClassSet, keep: int = 0) -> None:
        # A channel named void is a class like any other in agreement: no class map holds 255.
        self._agreement = ConfusionMatrix(replace(classes, void=255))
        self._truth = ConfusionMatrix(classes), ConfusionMatrix(classes)
        self._worst: FrameAgreement | None = None
        self._kept = WorstFrames(keep)

    def add(self, picture: Picture, a: ClassMap, b: ClassMap) -> None:
        """Count one frame; class maps of another size are resized to the label's or the frame's.

        Args:
            picture: the frame, with its label where there is one.
            a: (h, w) uint8 class indices, of any size.
            b: likewise.

        Raises:
            EngineError: a class map holds an index that the class set does not have.
            DataError: a label does.
        """
        # Without a label, only the size of this is used.
        size_of = picture.image[..., 0] if picture.label is None else picture.label
        a, b = (
            fit_to_label(self._checked(one, name), size_of) for one, name in ((a, "a"), (b, "b"))
        )
        self._agreement.add(a, b)
        if picture.label is not None:
            for matrix, predicted in zip(self._truth, (a, b), strict=True):
                matrix.add(picture.label, predicted)
        share = float(np.mean(a == b))
        if self._worst is None or share < self._worst.pixel_agreement:
            self._worst = FrameAgreement(picture.name, share)
        self._kept.add(Disagreement(picture.name, picture.image, a, b, share))

    def result(self, speed: Speed | None = None) -> Comparison:
        """Summarise what was counted so far.

        Raises:
            DataError: no frame was counted, or there were labels and all of them are void.
        """
        if self._worst is None:
            raise DataError("no frame was given to compare on, expected at least one picture")
        counts, classes = self._agreement.counts, self._agreement.classes
        labelled = self._truth[0].frames > 0
        return Comparison(
            frames=self._agreement.frames,
            pixel_agreement=float(np.trace(counts)) / float(counts.sum()),
            agreement={
                name: float(same) / float(all_) if all_ else None
                for name, same, all_ in zip(
                    classes.names, np.diag(counts), counts.sum(1), strict=True
                )
            },
            worst_frame=self._worst,
            changes=largest_changes(counts, classes, _CHANGES),
            scores=(self._truth[0].scores(), self._truth[1].scores()) if labelled else None,
            speed=speed,
            kept=self._kept.frames,
        )

    def _checked(self, classes: ClassMap, name: str) -> ClassMap:
        known = len(self._agreement.classes)
        if int(classes.max()) >= known:
            raise EngineError(
                f"{name} gave class index {int(classes.max())}, expected 0 to {known - 1}; its "
                "engine has other classes, build it again"
            )
        return classes


def compare_sessions(
    a: Session,
    b: Session,
    pictures: Iterable[Picture],
    classes: ClassSet,
    *,
    measure: bool = True,
    keep: int = 0,
) -> Comparison:
    """Run two sessions over the same frames, one frame at a time and in turn.

    Args:
        a: an opened session.
        b: another of the same class set; its class maps may have another size.
        pictures: iterated once and not kept; mIoU is of those with labels.
        classes: what class maps and labels mean.
        measure: time both, with a warm-up; otherwise each runs once per frame.
        keep: number of frames with the largest disagreement to keep, for pictures of them.

    Raises:
        DataError: no frames, or labels that do not fit or are all void.
        EngineError: a session gives classes that are not in ``classes``.
    """
    both, counter = Interleaved(a, b, measure), ComparisonCounter(classes, keep)
    for picture in pictures:
        counter.add(picture, *both.run(picture.image))
    return counter.result(both.speed())


def check_same_classes(a: ClassSet, b: ClassSet, names: tuple[str, str]) -> None:
    """Check that two engines mean the same by each class index; colours may differ.

    Raises:
        EngineError: names the engines, by ``names``, and the first difference.
    """
    pairs = enumerate(zip_longest(a.names, b.names, fillvalue="no class"))
    differences = [
        f"class {index} is {first} in the first and {second} in the second"
        for index, (first, second) in pairs
        if first != second
    ]
    if a.void != b.void:
        differences.append(f"void is {a.void} in the labels of the first, {b.void} of the second")
    if differences:
        raise EngineError(
            f"{names[0]} and {names[1]} have different classes ({differences[0]}); compare engines "
            "that were built for one class set"
        )
