"""Labelled pictures for training: of one size, in memory."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.errors import DataError
from calibration.scenes.dataset import Sample, open_labelled_folder
from models.classes import ClassSet
from models.spec import InputSpec, ModelSpec

log = logging.getLogger(__name__)


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

    The pictures are resized as the deployment graph does it. Classes without a pixel are logged.

    Raises:
        DataError: a folder, picture or label that cannot be used, pictures whose sizes differ, or
            labels that hold fewer than two classes.
    """
    samples: list[Sample] = []
    sizes: dict[tuple[int, ...], str] = {}
    pixels = np.zeros(256, np.int64)
    for sample in open_labelled_folder(folder, spec.classes):
        sizes.setdefault(sample.image.shape[1::-1], sample.name)
        if len(sizes) > 1:
            (one, first), (other, second) = sizes.items()
            raise DataError(
                f"{folder}: {first} has {one[0]}x{one[1]} pixels, {second} has "
                f"{other[0]}x{other[1]}; expected pictures of one size, since the network sees "
                f"all of them at {spec.input.width}x{spec.input.height}; cut or scale them to one"
            )
        pixels += np.bincount(sample.label.ravel(), minlength=256)
        image = _resized(sample.image, spec.input, cv2.INTER_LINEAR)
        samples.append(replace(sample, image=image))
    _check_pixels(folder, pixels, spec.classes)
    return samples


def _check_pixels(folder: Path, pixels: NDArray[np.int64], classes: ClassSet) -> None:
    """Warn of classes without a pixel, which a network would never predict."""
    scored = [index for index in range(len(classes)) if index != classes.void]
    found = [index for index in scored if pixels[index]]
    absent = [classes.names[index] for index in scored if not pixels[index]]
    void = pixels[classes.void] / max(1, pixels.sum())
    if len(found) < 2:
        there = f"{classes.names[found[0]]} alone" if found else "no class"
        raise DataError(
            f"{folder}: its labels hold {there}, and {classes.void} (void) on {void:.0%} of "
            "pixels, expected pixels of two classes or more; check that the labels belong to this "
            "class set ('convert-labels --from binary' makes 0 and 1 of masks with 0 and 255)"
        )
    if absent:
        log.warning(
            "%s: no pixel of %s; %d (void) on %.0f %% of pixels",
            folder,
            ", ".join(absent),
            classes.void,
            100 * void,
        )


def _resized(picture: NDArray[np.uint8], spec: InputSpec, how: int) -> NDArray[np.uint8]:
    if picture.shape[:2] == (spec.height, spec.width):
        return picture
    resized = cv2.resize(picture, (spec.width, spec.height), interpolation=how)
    return resized.astype(np.uint8, copy=False)
