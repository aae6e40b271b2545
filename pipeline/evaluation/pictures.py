"""Pictures to measure on: a labelled folder, or one without labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from calibration.scenes.dataset import list_pictures, open_labelled_folder
from calibration.scenes.synthetic import SyntheticDrive
from models.classes import ClassSet
from models.spec import InputSpec
from pipeline.evaluation.compare import Picture
from pipeline.runtimes.session import Frames
from pipeline.stream.sources.pictures import PictureSource

T = TypeVar("T")


@dataclass(frozen=True)
class Pictures:
    """Frames to go through once.

    Attributes:
        pictures: with labels where the folder has them.
        total: how many.
        labelled: whether they have labels.
        source: reads those without labels, and lists what it could not read.
    """

    pictures: Iterable[Picture]
    total: int
    labelled: bool
    source: PictureSource | None = None

    def problems(self) -> tuple[str, ...]:
        """One line per unlabelled picture that could not be read so far."""
        return () if self.source is None else tuple(self.source.problems)


def has_labels(folder: Path) -> bool:
    return (folder / "labels").is_dir()


def open_pictures(folder: Path, classes: ClassSet, count: int | None = None) -> Pictures:
    """Open the pictures of a folder, or ``count`` of them, evenly spread.

    Raises:
        DataError: no such folder, no pictures, or labels that do not belong to them.
        SourceError: not a single picture can be read.
    """
    if has_labels(folder):
        samples = open_labelled_folder(folder, classes)
        samples = replace(samples, pairs=spread(samples.pairs, count))
        return Pictures(samples, len(samples), labelled=True)
    found = list_pictures(folder)
    chosen = spread(found, count)
    name = str(folder) if len(chosen) == len(found) else f"the choice from {folder}"
    source = PictureSource(name, list(chosen))
    return Pictures(iter(source.read, None), len(chosen), labelled=False, source=source)


def spread(items: Sequence[T], count: int | None) -> tuple[T, ...]:
    """Choose evenly: neighbours in a folder are often from one video, and much alike."""
    if count is None or count >= len(items):
        return tuple(items)
    return tuple(items[i * len(items) // count] for i in range(count))


def drawn_frame(size: InputSpec, index: int) -> Frames:
    """Return frame ``index`` of the synthetic drive at a network's size, (1, h, w, 3) uint8 BGR."""
    image, _ = SyntheticDrive(max(size.width, 64), max(size.height, 64)).frame(index)
    return np.asarray(cv2.resize(image, (size.width, size.height)), np.uint8)[None]


def drawn_frames(size: InputSpec) -> list[Frames]:
    """Return the frames of the synthetic drive that graphs and engines are compared on."""
    return [drawn_frame(size, index) for index in (0, 150, 300)]
