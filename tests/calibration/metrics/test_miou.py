"""mIoU from one confusion matrix."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.errors import DataError
from calibration.metrics.miou import ConfusionMatrix
from models.classes import CAMVID, ClassSet

THREE = ClassSet(("a", "b", "c"), ((0, 0, 0),) * 3, void=9)


def counted(label: list[int], predicted: list[int]) -> ConfusionMatrix:
    matrix = ConfusionMatrix(THREE)
    matrix.add(np.array([label], np.uint8), np.array([predicted], np.uint8))
    return matrix


def test_iou_is_intersection_over_union_per_class() -> None:
    scores = counted([0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 1, 1]).scores()
    assert scores.iou == {"a": 2 / 3, "b": 2 / 4, "c": 0.0}
    assert scores.miou == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert scores.pixel_accuracy == pytest.approx(4 / 6)


def test_void_pixels_count_nowhere() -> None:
    scores = counted([0, 9, 9], [0, 1, 2]).scores()
    assert scores.miou == 1.0
    assert scores.iou == {"a": 1.0, "b": None, "c": None}


def test_frames_are_summed_before_dividing() -> None:
    matrix = ConfusionMatrix(THREE)
    matrix.add(np.array([[0, 0, 0, 0]], np.uint8), np.array([[0, 0, 0, 0]], np.uint8))
    matrix.add(np.array([[0, 1]], np.uint8), np.array([[1, 1]], np.uint8))
    assert matrix.scores().iou["a"] == pytest.approx(4 / 5)
    assert matrix.scores().frames == 2


def test_sizes_that_differ_are_refused() -> None:
    with pytest.raises(DataError, match="resize"):
        ConfusionMatrix(CAMVID).add(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8))


def test_an_index_outside_the_class_set_is_refused() -> None:
    with pytest.raises(DataError, match="class index 5 found, expected 0 to 2"):
        counted([5], [0])


def test_labels_that_are_all_void_are_refused() -> None:
    with pytest.raises(DataError, match="no labelled pixel"):
        counted([9, 9], [0, 1]).scores()
