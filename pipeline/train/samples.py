"""Labelled pictures as a network is trained on them: of one size, in memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.errors import DataError
from calibration.scenes.dataset import Sample, open_labelled_folder
from models.spec import InputSpec, ModelSpec


def load_training_samples(folder: Path, spec: ModelSpec) -> list[Sample]:
    """Read a labelled folder; pictures and labels come at the network's input size.

    Raises:
        DataError: what :func:`load_validation_samples` refuses.
    """
    return [
        replace(sample, label=_resized(sample.label, spec.input, cv2.INTER_NEAREST))
        for sample in load_validation_samples(folder, spec)
    ]


def load_validation_samples(folder: Path, spec: ModelSpec) -> list[Sample]:
    """Read a labelled folder; pictures come at the network's input size, labels at their own.

    The pictures are resized as the deployment graph does it: what a network learns is what it is
    shown later.

    Raises:
        DataError: a folder, picture or label that cannot be used, pictures whose sizes differ, or
            labels that are all void.
    """
    samples: list[Sample] = []
    sizes: dict[tuple[int, ...], str] = {}
    labelled = False
    for sample in open_labelled_folder(folder, spec.classes):
        sizes.setdefault(sample.image.shape[1::-1], sample.name)
        if len(sizes) > 1:
            (one, first), (other, second) = sizes.items()
            raise DataError(
                f"{folder}: {first} has {one[0]}x{one[1]} pixels, {second} has "
                f"{other[0]}x{other[1]}; expected pictures of one size, since the network sees "
                f"all of them at {spec.input.width}x{spec.input.height}; cut or scale them to one"
            )
        labelled = labelled or bool((sample.label != spec.classes.void).any())
        image = _resized(sample.image, spec.input, cv2.INTER_LINEAR)
        samples.append(replace(sample, image=image))
    if not labelled:
        raise DataError(
            f"{folder}: all pixels of its {len(samples)} labels are {spec.classes.void} (void), "
            "expected some with a class; check that the labels belong to this class set"
        )
    return samples


def _resized(picture: NDArray[np.uint8], spec: InputSpec, how: int) -> NDArray[np.uint8]:
    if picture.shape[:2] == (spec.height, spec.width):
        return picture
    resized = cv2.resize(picture, (spec.width, spec.height), interpolation=how)
    return resized.astype(np.uint8, copy=False)
