"""Data that the trainer accepts, and its messages about the rest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from calibration.errors import DataError
from models.classes import CAMVID
from models.registry import model_spec
from models.spec import InputSpec
from pipeline.train.samples import load_training_samples, load_validation_samples
from pipeline.train.validate import predictions

SPEC = replace(model_spec("segnet_lite"), input=InputSpec(48, 36))


def write(folder: Path, name: str, label: NDArray[np.uint8]) -> None:
    random = np.random.default_rng(len(name))
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    picture = random.integers(0, 256, (*label.shape, 3), dtype=np.uint8)
    cv2.imwrite(str(folder / "images" / f"{name}.png"), picture)
    cv2.imwrite(str(folder / "labels" / f"{name}.png"), label)


def checkered(height: int, width: int, square: int) -> NDArray[np.uint8]:
    rows, columns = np.indices((height, width)) // square
    return ((rows + columns) % 2 * 3).astype(np.uint8)


def test_pictures_of_the_networks_size_are_left_as_they_are(tmp_path: Path) -> None:
    write(tmp_path, "a", checkered(36, 48, 6))
    (sample,) = load_training_samples(tmp_path, SPEC)
    assert np.array_equal(sample.image, cv2.imread(str(tmp_path / "images" / "a.png")))
    assert np.array_equal(sample.label, checkered(36, 48, 6))


def test_larger_pictures_are_resized_as_the_deployment_graph_does_it(tmp_path: Path) -> None:
    write(tmp_path, "a", checkered(90, 120, 15))
    (sample,) = load_training_samples(tmp_path, SPEC)
    original = torch.from_numpy(cv2.imread(str(tmp_path / "images" / "a.png")))
    expected = F.interpolate(
        original.permute(2, 0, 1)[None].float(), size=(36, 48), mode="bilinear"
    )
    resized = torch.from_numpy(sample.image).permute(2, 0, 1)[None].float()
    assert (resized - expected).abs().max() <= 1
    assert np.array_equal(sample.label, checkered(36, 48, 6))


def test_validation_labels_stay_at_their_own_size_and_are_scored_there(tmp_path: Path) -> None:
    write(tmp_path, "a", checkered(90, 120, 15))
    (sample,) = load_validation_samples(tmp_path, SPEC)
    assert sample.image.shape == (36, 48, 3)
    assert sample.label.shape == (90, 120)
    network = torch.nn.Conv2d(3, 11, 1)
    ((_, predicted),) = predictions(network, SPEC, [sample])
    assert predicted.shape == (90, 120)
    assert network.training


def test_pictures_of_two_sizes_are_refused_with_both(tmp_path: Path) -> None:
    write(tmp_path, "a", checkered(36, 48, 6))
    write(tmp_path, "b", checkered(90, 120, 15))
    with pytest.raises(DataError, match="a has 48x36 pixels, b has 120x90") as caught:
        load_training_samples(tmp_path, SPEC)
    assert "\n" not in str(caught.value)


def test_labels_that_are_all_void_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "a", np.full((36, 48), CAMVID.void, np.uint8))
    with pytest.raises(DataError, match=r"hold no class, and 11 \(void\) on 100% of pixels"):
        load_validation_samples(tmp_path, SPEC)
