"""The drawn drive: a pure function of seed, frame number and size, with exact labels."""

from __future__ import annotations

import os
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest

from calibration.errors import DataError
from calibration.scenes.synthetic import SyntheticDrive
from calibration.scenes.synthetic.camera import view_at
from calibration.scenes.synthetic.canvas import SOLID, THROUGH, Canvas, Shade, Texture
from calibration.scenes.synthetic.items import Label, Person, Vehicle
from calibration.scenes.synthetic.light import Light
from calibration.scenes.synthetic.objects import draw_items
from calibration.scenes.synthetic.street import LANE, block_of
from models.classes import CAMVID

CLEAR_DAY = Light(exposure=1, sun=0, side=1, haze=255, clear=1e9, warm=0, sky=0)


def empty_canvas(width: int = 160, height: int = 120) -> Canvas:
    """A canvas without haze, so that drawn colours stay unchanged."""
    return Canvas(view_at(0, 0.0, (width, height)), haze=255, clear=1e9)


@pytest.mark.parametrize(
    ("width", "height"), [(480, 360), (64, 64), (65, 101), (333, 67), (97, 400)]
)
def test_a_frame_is_a_bgr_picture_and_a_label_map_of_the_asked_size(
    width: int, height: int
) -> None:
    picture, label = SyntheticDrive(width, height, seed=3).frame(40)
    assert picture.shape == (height, width, 3)
    assert label.shape == (height, width)
    assert picture.dtype == label.dtype == np.uint8
    assert label.max() <= CAMVID.void
    assert len(np.unique(label)) >= 4


def test_label_values_are_the_classes_of_camvid() -> None:
    spelt = {label.value: label.name for label in Label if label != Label.VOID}
    named = {i: name.upper().replace("SIGNSYMBOL", "SIGN") for i, name in enumerate(CAMVID.names)}
    assert spelt == named
    assert CAMVID.void == Label.VOID


def test_a_frame_does_not_depend_on_the_frames_drawn_before_it() -> None:
    first = SyntheticDrive(160, 120, seed=5).frame(700)
    drive = SyntheticDrive(160, 120, seed=5)
    for index in (0, 699, 3, 12000):
        drive.frame(index)
    again = drive.frame(700)
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])


def test_another_process_draws_the_same_frame() -> None:
    code = (
        "import zlib; from calibration.scenes.synthetic import SyntheticDrive; "
        "a, b = SyntheticDrive(160, 120, seed=9).frame(321); "
        "print(zlib.crc32(a.tobytes()), zlib.crc32(b.tobytes()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "77"},
        capture_output=True,
        text=True,
        check=True,
    )
    picture, label = SyntheticDrive(160, 120, seed=9).frame(321)
    expected = [zlib.crc32(picture.tobytes()), zlib.crc32(label.tobytes())]
    assert [int(word) for word in done.stdout.split()] == expected


def test_a_changed_result_does_not_change_the_drawing_of_later_frames() -> None:
    drive = SyntheticDrive(96, 64, seed=1)
    picture, label = drive.frame(8)
    kept = picture.copy(), label.copy()
    picture[:] = 0
    label[:] = 0
    again = drive.frame(8)
    assert np.array_equal(again[0], kept[0])
    assert np.array_equal(again[1], kept[1])


@pytest.mark.parametrize("seed", range(4))
def test_every_class_occurs_within_three_hundred_frames(seed: int) -> None:
    drive = SyntheticDrive(240, 180, seed=seed)
    pixels = np.zeros(256, np.int64)
    for index in range(0, 300, 12):
        pixels += np.bincount(drive.frame(index)[1].ravel(), minlength=256)
    assert (pixels[: len(CAMVID)] > 0).all(), dict(zip(CAMVID.names, pixels, strict=False))
    assert pixels[CAMVID.void + 1 :].sum() == 0


def test_class_shares_resemble_camvid() -> None:
    """Shares in CamVid's train split, in per cent: sky 16, building 24, road 32, tree 10, car 6."""
    pixels = np.zeros(12, np.int64)
    for seed in range(20):
        pixels += np.bincount(
            SyntheticDrive(160, 120, seed).frame(97 * seed)[1].ravel(), minlength=12
        )
    shares = pixels / pixels.sum()
    for label, low, high in (
        (Label.SKY, 0.10, 0.35),
        (Label.BUILDING, 0.10, 0.35),
        (Label.ROAD, 0.20, 0.45),
        (Label.TREE, 0.04, 0.25),
        (Label.CAR, 0.02, 0.15),
        (Label.VOID, 0.0, 0.05),
    ):
        assert low <= shares[label] <= high, (label.name, shares[label])


def test_consecutive_frames_are_a_video_and_distant_ones_are_not() -> None:
    drive = SyntheticDrive(240, 180, seed=2)
    label, following, distant = (drive.frame(index)[1] for index in (1000, 1001, 5000))
    assert (label == following).mean() > 0.9
    assert not np.array_equal(label, following)
    assert (label == distant).mean() < (label == following).mean() - 0.1


def test_the_frame_rate_changes_the_step_and_not_the_scene() -> None:
    slow, fast = (SyntheticDrive(160, 120, seed=4, fps=fps) for fps in (10.0, 40.0))
    assert np.array_equal(slow.frame(30)[1], fast.frame(120)[1])


def test_label_edges_lie_on_picture_edges() -> None:
    """When moved by some pixels, the labels' outlines meet less contrast in the picture."""
    here, moved = [], []
    for seed in range(6):
        picture, label = SyntheticDrive(480, 360, seed).frame(50)
        grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).astype(np.float32)
        step = np.abs(grey[:, 2:] - grey[:, :-2])[:, :-10]
        edge = (label[:, 1:-1] != label[:, 2:])[:, :-10]
        here.append(step[edge].mean())
        moved.append(np.mean([step[:, by:][edge[:, :-by]].mean() for by in (4, 6, 8)]))
    assert np.mean(here) > 1.4 * np.mean(moved)


@pytest.mark.parametrize("kind", ["polygon", "upright", "surface", "sprite"])
def test_a_stroke_writes_colour_and_class_into_the_same_pixels(kind: str) -> None:
    canvas = empty_canvas()
    stroke = canvas.stroke((10, 200, 30), Label.CAR, canvas.view.s)
    picture = np.full((64, 64, 4), (10, 200, 30, SOLID), np.uint8)
    texture, shade = Texture.from_picture(picture), Shade(Label.CAR, canvas.view.s)
    corners = [(20.3, 10.6), (150.2, 33.3), (171.9, 90.4), (9.7, 101.1)]
    if kind == "polygon":
        canvas.polygon(np.array(corners), stroke)
    elif kind == "upright":
        canvas.upright((20.3, 150.2), (-7.5, 90.4), stroke)
    elif kind == "surface":
        canvas.surface(corners, texture, shade)
    else:
        canvas.sprite((-20.5, 10.2, 90.7, 100.9), texture, shade)
    drawn = canvas.pixels[..., 3] == Label.CAR
    assert 0 < drawn.sum() < drawn.size
    assert (canvas.pixels[drawn, :3] == (10, 200, 30)).all()
    assert (canvas.pixels[~drawn] == 0).all()


def test_what_is_seen_between_bars_belongs_to_the_fence_and_keeps_its_colour() -> None:
    canvas = empty_canvas()
    picture = np.full((64, 64, 4), (200, 100, 50, THROUGH), np.uint8)
    picture[:, ::8, 3] = picture[:, 1::8, 3] = SOLID
    texture = Texture.from_picture(picture, see_through=True)
    box = [(10.0, 10.0), (138.0, 10.0), (138.0, 110.0), (10.0, 110.0)]
    canvas.surface(box, texture, Shade(Label.FENCE, canvas.view.s))
    inside = canvas.pixels[20:100, 20:120]
    painted = inside[..., :3].any(axis=-1)
    assert (inside[..., 3] == Label.FENCE).all()
    assert 0.1 < painted.mean() < 0.6


def test_the_nearer_of_two_things_hides_the_farther_one() -> None:
    canvas = empty_canvas(480, 360)
    s = canvas.view.s
    walker = Person(s + 20, canvas.view.u, 1.75, 0, 0)
    car = Vehicle(s + 12, canvas.view.u, "van", (200, 200, 200), forward=True)
    draw_items(canvas, [car, walker], CLEAR_DAY)
    assert (canvas.pixels[..., 3] == Label.CAR).any()
    assert not (canvas.pixels[..., 3] == Label.PEDESTRIAN).any()
    draw_items(canvas, [car, Person(s + 6, canvas.view.u, 1.75, 0, 0)], CLEAR_DAY)
    assert (canvas.pixels[..., 3] == Label.PEDESTRIAN).any()


@pytest.mark.parametrize("seed", range(3))
def test_nothing_but_cars_stands_on_the_driving_lanes(seed: int) -> None:
    for block in range(24, 60):
        for item in block_of(seed, block):
            assert abs(item.u) > LANE
    parked = [item for block in range(24, 60) for item in block_of(seed, block)]
    assert any(isinstance(item, Vehicle) for item in parked)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"width": 63}, "63x360"),
        ({"height": 10}, "480x10"),
        ({"seed": -1}, "seed -1"),
        ({"fps": 0.0}, "0.0 frames"),
        ({"fps": float("nan")}, "nan frames"),
    ],
)
def test_settings_that_cannot_be_drawn_are_refused_in_one_line(
    wrong: dict[str, float], says: str
) -> None:
    with pytest.raises(DataError, match=says) as caught:
        SyntheticDrive(**wrong)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_frames_are_counted_from_zero() -> None:
    with pytest.raises(IndexError, match="-1"):
        SyntheticDrive(64, 64).frame(-1)


def test_drawing_needs_no_torch() -> None:
    modules = "calibration.scenes.synthetic, calibration.scenes.dataset"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
