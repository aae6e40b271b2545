"""Class maps drawn over frames."""

from __future__ import annotations

import numpy as np
import pytest

from models.classes import CAMVID, ClassSet
from pipeline.stream.overlay import Overlay, OverlayOptions, Palette, class_shares, enlarge_finely

PLAIN = OverlayOptions(opacity=1.0, legend=False)


def test_a_pixel_of_each_class_gets_its_colour_in_bgr() -> None:
    classes = np.arange(11, dtype=np.uint8)[None]
    colours = Palette(CAMVID).colours(classes)[0]
    assert [tuple(colour[::-1]) for colour in colours.tolist()] == list(CAMVID.palette)


def test_an_index_without_a_class_is_black() -> None:
    assert not Palette(CAMVID).colours(np.array([[11, 255]], np.uint8)).any()


def test_shares_add_up_to_the_part_that_has_a_class() -> None:
    classes = np.array([[0, 0, 3], [3, 10, 255]], np.uint8)
    shares = class_shares(classes, len(CAMVID))
    assert shares[[0, 3, 10]] == pytest.approx([2 / 6, 2 / 6, 1 / 6])
    assert shares.sum() == pytest.approx(5 / 6)


@pytest.mark.parametrize("size", [(1280, 720), (161, 97), (64, 64), (65, 641), (2, 2)])
def test_frames_of_any_size_are_drawn(size: tuple[int, int]) -> None:
    width, height = size
    frame = np.full((height, width, 3), 100, np.uint8)
    classes = np.full((36, 48), 3, np.uint8)
    drawn = Overlay(CAMVID).draw(frame, classes, class_shares(classes, 11), "25.0 fps   age 9 ms")
    assert drawn.shape == frame.shape
    assert drawn.dtype == np.uint8
    assert (frame == 100).all(), "the frame itself was drawn on"


def test_colours_are_blended_by_the_opacity() -> None:
    frame = np.full((90, 120, 3), 100, np.uint8)
    classes = np.full((9, 12), 3, np.uint8)
    options = OverlayOptions(opacity=0.25, legend=False)
    drawn = Overlay(CAMVID, options).draw(frame, classes, class_shares(classes, 11), "")
    road_bgr = np.array(CAMVID.palette[3][::-1])
    np.testing.assert_allclose(drawn[80, 110], 0.75 * 100 + 0.25 * road_bgr, atol=0.51)


def test_the_map_is_enlarged_by_nearest_neighbour() -> None:
    frame = np.zeros((40, 40, 3), np.uint8)
    classes = np.array([[0, 3], [8, 10]], np.uint8)
    drawn = Overlay(CAMVID, PLAIN).draw(frame, classes, class_shares(classes, 11), "")
    expected = np.array(CAMVID.palette)[classes].repeat(20, axis=0).repeat(20, axis=1)[..., ::-1]
    np.testing.assert_array_equal(drawn[20:], expected[20:])


def test_the_legend_shows_every_colour_unblended() -> None:
    frame = np.zeros((720, 1280, 3), np.uint8)
    classes = np.full((36, 48), 3, np.uint8)
    drawn = Overlay(CAMVID).draw(frame, classes, class_shares(classes, 11), "")
    corner = drawn[:330, :250].reshape(-1, 3)
    shown = {tuple(colour[::-1]) for colour in np.unique(corner, axis=0).tolist()}
    assert set(CAMVID.palette) <= shown


def test_bars_of_the_legend_are_as_long_as_shares_are() -> None:
    frame = np.zeros((720, 1280, 3), np.uint8)
    classes = np.zeros((10, 100), np.uint8)  # sky, one half of it road, a hundredth car
    classes[:, :50] = 3
    classes[:, 99] = 8
    shares = class_shares(classes, len(CAMVID))
    drawn = Overlay(CAMVID, OverlayOptions(opacity=0.0)).draw(frame, classes, shares, "")
    length = {}
    for index in (0, 3, 8, 9):
        red, green, blue = CAMVID.palette[index]
        own = (drawn[:, 100:] == (blue, green, red)).all(axis=2)  # right of the swatches
        length[index] = int(own.sum(axis=1).max())
    assert length[3] == 28  # of 56 pixels
    assert length[0] == 27
    assert length[8] == 1
    assert length[9] == 0


def test_a_legend_that_does_not_fit_is_left_out() -> None:
    many = ClassSet(tuple(f"class {i}" for i in range(150)), tuple((i, i, i) for i in range(150)))
    frame = np.zeros((360, 480, 3), np.uint8)
    classes = np.zeros((36, 48), np.uint8)
    shares = class_shares(classes, 150)
    with_legend = Overlay(many, OverlayOptions(legend=True)).draw(frame, classes, shares, "")
    without = Overlay(many, OverlayOptions(legend=False)).draw(frame, classes, shares, "")
    np.testing.assert_array_equal(with_legend, without)


def test_a_change_of_frame_size_is_followed() -> None:
    overlay = Overlay(CAMVID)
    classes = np.full((36, 48), 3, np.uint8)
    for height, width in ((360, 480), (720, 1280), (360, 480)):
        frame = np.zeros((height, width, 3), np.uint8)
        fresh = Overlay(CAMVID).draw(frame, classes, class_shares(classes, 11), "x")
        drawn = overlay.draw(frame, classes, class_shares(classes, 11), "x")
        np.testing.assert_array_equal(drawn, fresh)


@pytest.mark.parametrize("slope", [0.5, 0.7, 1.3, 2.1])
def test_fine_edges_follow_a_slanted_outline_more_closely(slope: float) -> None:
    def halves(height: int, width: int) -> np.ndarray:
        rows, columns = np.mgrid[:height, :width] + 0.5
        return np.where(columns > slope * rows, 3, 4).astype(np.uint8)

    small, truth = halves(40, 60), halves(320, 480)
    coarse = np.repeat(np.repeat(small, 8, axis=0), 8, axis=1)
    fine = enlarge_finely(small, (480, 320))
    assert set(np.unique(fine)) == {3, 4}
    assert np.mean(fine != truth) < 0.8 * np.mean(coarse != truth)


def test_fine_edges_at_the_same_size_change_nothing() -> None:
    classes = np.random.default_rng(0).integers(0, 12, (30, 40), dtype=np.uint8)
    assert np.array_equal(enlarge_finely(classes, (40, 30)), classes)


def test_an_overlay_with_fine_edges_has_the_colours_of_the_classes() -> None:
    image = np.zeros((64, 96, 3), np.uint8)
    classes = np.full((8, 12), 3, np.uint8)
    options = OverlayOptions(opacity=1.0, legend=False, fine_edges=True)
    drawn = Overlay(CAMVID, options).draw(image, classes, class_shares(classes, 11), "x" * 200)
    assert (drawn == Palette(CAMVID)[3]).all()
