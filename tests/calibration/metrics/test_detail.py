"""Boundary F1, recall by region size and flips, on label maps whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.errors import DataError
from calibration.metrics.boundary import BoundaryCounter, BoundaryScores
from calibration.metrics.detail import DetailCounter
from calibration.metrics.miou import ConfusionMatrix
from calibration.metrics.regions import SIZE_BINS, RegionCounter, SizeRecall
from calibration.metrics.stability import FlipCounter, sequence_of
from calibration.scenes.dataset import Sample
from calibration.scenes.synthetic import SyntheticDrive
from models.classes import CAMVID, ClassSet

Map = NDArray[np.uint8]
VOID = CAMVID.void


def halves(edge: int, left: int = 3, right: int = 4, width: int = 40) -> Map:
    """Two classes side by side: ``left`` up to column ``edge``, ``right`` from there on."""
    made = np.full((20, width), right, np.uint8)
    made[:, :edge] = left
    return made


def boundary(label: Map, predicted: Map, classes: ClassSet = CAMVID) -> BoundaryScores:
    counter = BoundaryCounter(classes)
    counter.add(label, predicted)
    return counter.scores()


def regions(label: Map, predicted: Map) -> dict[str, SizeRecall]:
    counter = RegionCounter(CAMVID)
    counter.add(label, predicted)
    return counter.scores()


def test_a_perfect_prediction_scores_one_everywhere() -> None:
    counter = DetailCounter(CAMVID)
    drive = SyntheticDrive(160, 120)
    for index in range(3):
        image, label = drive.frame(index)
        counter.add(Sample(f"frame{index}", image, label), label)
    detail = counter.scores()
    assert detail.boundary.mean == 1.0
    assert {f1 for f1 in detail.boundary.f1.values() if f1 is not None} == {1.0}
    assert {size.recall for size in detail.recall_by_size.values()} <= {1.0, None}
    assert sum(size.regions for size in detail.recall_by_size.values()) > 10
    assert detail.stability.flip_share == 0.0
    assert detail.stability.pairs == 2


@pytest.mark.parametrize(("shift", "f1"), [(0, 1.0), (3, 1.0), (-3, 1.0), (4, 0.0), (-4, 0.0)])
def test_a_boundary_matches_up_to_three_pixels_away(shift: int, f1: float) -> None:
    scores = boundary(halves(20), halves(20 + shift))
    assert scores.mean == f1
    assert scores.f1["Road"] == scores.f1["Pavement"] == f1
    assert scores.f1["Sky"] is None


def test_distance_is_measured_as_the_crow_flies() -> None:
    label = np.zeros((20, 20), np.uint8)
    near, far = label.copy(), label.copy()
    label[8, 8] = 1
    near[10, 10] = 1  # 2.83 pixels away
    far[10, 11] = 1  # 3.6 pixels away
    assert boundary(label, near).f1["Building"] == 1.0
    assert boundary(label, far).f1["Building"] == 0.0


def test_a_boundary_half_of_which_is_missed_has_half_its_recall() -> None:
    label, predicted = np.zeros((30, 60), np.uint8), np.zeros((30, 60), np.uint8)
    label[10:15, 10:15] = label[10:15, 40:45] = 1
    predicted[10:15, 10:15] = 1
    # Every predicted boundary pixel is right, every second labelled one is found.
    assert boundary(label, predicted).f1["Building"] == pytest.approx(2 / 3)


def test_counts_are_summed_over_frames_before_f1() -> None:
    counter = BoundaryCounter(CAMVID)
    stray = halves(20)
    stray[5, 5] = 8  # one pixel of a class that this frame does not have
    car = np.zeros((20, 40), np.uint8)
    car[5:15, 5:35] = 8
    counter.add(halves(20), stray)
    counter.add(car, car)
    outline = 2 * 30 + 2 * 8
    expected = 2 / (1 + (outline + 1) / outline)  # precision outline / (outline + 1), recall 1
    assert counter.scores().f1["Car"] == pytest.approx(expected)


def test_what_is_predicted_under_void_is_not_seen() -> None:
    label = halves(20)
    label[:, 24:] = VOID
    predicted = halves(20)
    wild = predicted.copy()
    wild[:, 24:] = np.arange(16) % 11
    assert boundary(label, wild) == boundary(label, predicted)
    assert boundary(label, predicted).mean == 1.0


def test_an_outline_along_void_is_not_counted() -> None:
    label = halves(20, right=VOID)
    assert boundary(label, halves(20)).mean is None
    assert boundary(label, halves(23)).mean is None


def test_an_outline_near_a_void_seam_counts_neither_for_nor_against() -> None:
    label = np.vstack([halves(20), halves(20)])
    label[:20, 19:23] = VOID  # the upper half leaves the outline's place open
    beside = np.vstack([halves(17), halves(20)])  # left of the seam, within 3 pixels of it
    wrong = np.vstack([halves(15), halves(20)])
    assert boundary(label, beside).mean == 1.0
    assert boundary(label, wrong).mean != 1.0


def neighbours(row: int, column: int, shape: tuple[int, ...]) -> list[tuple[int, int]]:
    around = [(row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)]
    return [(r, c) for r, c in around if 0 <= r < shape[0] and 0 <= c < shape[1]]


def outline(classes: Map, label: Map, index: int) -> list[tuple[int, int]]:
    """Boundary pixels of one class, found pixel by pixel according to the definition."""
    labelled = [(int(r), int(c)) for r, c in np.argwhere(label != VOID)]
    return [
        place
        for place in labelled
        if classes[place] == index
        and any(label[n] != VOID and classes[n] != index for n in neighbours(*place, classes.shape))
    ]


def share_near(
    pixels: list[tuple[int, int]], others: list[tuple[int, int]], void: list[tuple[int, int]]
) -> float:
    def near(one: tuple[int, int], many: list[tuple[int, int]]) -> bool:
        return any((one[0] - r) ** 2 + (one[1] - c) ** 2 <= 9 for r, c in many)

    counted = [pixel for pixel in pixels if not near(pixel, void)]
    return sum(near(pixel, others) for pixel in counted) / len(counted)


@pytest.mark.parametrize("seed", range(4))
def test_boundary_f1_is_what_the_definition_gives_pixel_by_pixel(seed: int) -> None:
    random = np.random.default_rng(seed)
    label = np.kron(random.integers(0, 4, (3, 4), np.uint8), np.ones((8, 8), np.uint8))
    predicted = np.kron(random.integers(0, 4, (4, 4), np.uint8), np.ones((6, 8), np.uint8))
    label[0, 0], label[12, 20:24] = VOID, VOID
    void = [(int(r), int(c)) for r, c in np.argwhere(label == VOID)]
    found = boundary(label, predicted).f1
    checked = 0
    for index, name in enumerate(CAMVID.names):
        truth, guess = (outline(classes, label, index) for classes in (label, predicted))
        if truth and guess:
            recall, precision = share_near(truth, guess, void), share_near(guess, truth, void)
            total = precision + recall
            assert found[name] == pytest.approx(2 * precision * recall / total if total else 0)
            checked += 1
    assert checked >= 2


def test_a_missed_tiny_region_lowers_its_own_bin_only() -> None:
    label = np.full((200, 200), 3, np.uint8)  # 40 000 pixels: tiny is below 20
    label[10:14, 10:14] = 9
    label[50:53, 50:55] = 9
    label[100:150, 100:150] = 1
    predicted = label.copy()
    predicted[10:14, 10:14] = 3
    found = regions(label, predicted)
    assert found["tiny"] == SizeRecall(15 / 31, 2, 31)
    assert found["small"] == found["medium"] == SizeRecall(None, 0, 0)
    assert found["large"] == SizeRecall(None, 0, 0)
    assert found["huge"] == SizeRecall(1.0, 2, 40_000 - 31)


@pytest.mark.parametrize(
    ("pixels", "bin_"),
    [(1, "tiny"), (4, "tiny"), (5, "small"), (24, "small"), (25, "medium"), (99, "medium"),
     (100, "large"), (499, "large"), (500, "huge")],
)  # fmt: skip
def test_a_region_is_binned_by_its_share_of_the_picture(pixels: int, bin_: str) -> None:
    label = np.full(10_000, VOID, np.uint8)  # edges at 5, 25, 100 and 500 pixels
    label[:pixels] = 2
    found = regions(label.reshape(10, 1000), label.reshape(10, 1000))
    assert found[bin_] == SizeRecall(1.0, 1, pixels)
    assert sum(size.regions for size in found.values()) == 1
    assert list(found) == list(SIZE_BINS)


def test_regions_touch_at_corners_and_never_across_classes() -> None:
    label = np.full((100, 100), VOID, np.uint8)
    label[0, 0] = label[1, 1] = label[2, 2] = 2  # a leaning pole
    label[0, 1] = 6
    predicted = np.full_like(label, 2)
    assert regions(label, predicted)["tiny"] == SizeRecall(3 / 4, 2, 4)


def test_regions_add_up_over_frames() -> None:
    counter = RegionCounter(CAMVID)
    label = halves(20)
    for predicted in (label, np.full_like(label, 3)):
        counter.add(label, predicted)
    assert counter.scores()["huge"] == SizeRecall(3 / 4, 4, 1600)


def test_a_flip_is_counted_exactly() -> None:
    counter = FlipCounter(CAMVID)
    label = halves(20)
    label[0, :5] = VOID
    first = label.copy()
    second = first.copy()
    second[10, 10:13] = 8  # three flips
    second[0, 0] = 7  # under void
    moved = label.copy()
    moved[15, 15] = 5  # the label itself changes here
    third = second.copy()
    third[15, 15] = 5
    counter.add(label, first)
    assert counter.scores().flip_share is None
    counter.add(label, second)
    assert counter.scores().flip_share == 3 / 795
    counter.add(moved, third)
    assert counter.scores().flip_share == 3 / (795 + 794)
    assert counter.scores().pairs == 2


def test_a_map_that_its_owner_reuses_is_still_compared() -> None:
    counter = FlipCounter(CAMVID)
    label, predicted = halves(20), halves(20)
    counter.add(label, predicted)
    predicted[:] = 0
    counter.add(label, predicted)
    assert counter.scores().flip_share == 1.0


def test_frames_of_two_videos_are_not_compared() -> None:
    counter = FlipCounter(CAMVID)
    label = halves(20)
    counter.add(label, label, sequence_of("0001TP_006690"))
    counter.add(label, halves(5), sequence_of("0016E5_00390"))
    assert counter.scores().pairs == 0
    counter.add(label, halves(5), sequence_of("0016E5_00391"))
    assert counter.scores().pairs == 1
    assert counter.scores().flip_share == 0.0


@pytest.mark.parametrize("counter", [BoundaryCounter, RegionCounter, FlipCounter])
def test_maps_of_two_sizes_are_refused(
    counter: type[BoundaryCounter] | type[RegionCounter] | type[FlipCounter],
) -> None:
    with pytest.raises(DataError, match="resize the prediction to the label first"):
        counter(CAMVID).add(halves(20), halves(20, width=41))


def test_a_void_channel_may_be_predicted_and_is_never_scored() -> None:
    classes = ClassSet(("void", "road", "car"), ((0, 0, 0), (1, 1, 1), (2, 2, 2)), void=0)
    label, predicted = halves(20, 1, 2), halves(20, 1, 2)
    label[:, 30:] = 0
    predicted[:, :2] = 0  # 40 of 600 labelled pixels
    matrix = ConfusionMatrix(classes)
    matrix.add(label, predicted)
    assert matrix.scores().iou == {"road": 360 / 400, "car": 1.0}
    assert matrix.scores().pixel_accuracy == 560 / 600
    assert set(boundary(label, predicted, classes).f1) == {"road", "car"}
