"""Colours in which classes are drawn: different enough, and used only where intended."""

from __future__ import annotations

from itertools import combinations

import cv2
import numpy as np
import pytest

from models.classes import CAMVID, ClassSet
from pipeline.errors import SinkError
from pipeline.stream.overlay import Overlay, OverlayOptions, class_shares
from pipeline.stream.palettes import PALETTES, drawn_classes, hidden_classes

#: Linear RGB as people without red or green cones see it (Machado, Oliveira and Fernandes 2009).
SIGHT = {
    "all": np.eye(3),
    "deuteranope": np.array(
        [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]
    ),
    "protanope": np.array([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]),
}
OWN = ClassSet(("lane", "kerb"), ((1, 2, 3), (4, 5, 6)))


def distances(palette: str, sight: str) -> dict[tuple[str, str], float]:
    """CIELAB distance of each pair of classes."""
    values = np.array(list(PALETTES[palette].values())) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ SIGHT[sight].T, 0, 1)
    seen = np.where(seen <= 0.0031308, seen * 12.92, 1.055 * seen ** (1 / 2.4) - 0.055)
    lab = cv2.cvtColor(seen.astype(np.float32)[None], cv2.COLOR_RGB2Lab)[0]
    names = list(PALETTES[palette])
    return {
        (names[a], names[b]): float(np.linalg.norm(lab[a] - lab[b]))
        for a, b in combinations(range(len(names)), 2)
    }


@pytest.mark.parametrize("palette", PALETTES)
def test_a_palette_has_a_colour_for_each_class_of_camvid(palette: str) -> None:
    assert tuple(PALETTES[palette]) == CAMVID.names
    assert drawn_classes(CAMVID, palette).names == CAMVID.names


def test_what_is_drawn_by_default_tells_classes_apart_better_than_the_published_colours() -> None:
    clear, published = distances("clear", "all"), distances("camvid", "all")
    assert min(clear.values()) > 1.4 * min(published.values())
    for pair in (("Road", "Car"), ("Building", "Pedestrian")):
        assert clear[pair] > 1.5 * published[pair]


@pytest.mark.parametrize("sight", SIGHT)
def test_the_palette_for_the_colour_blind_tells_all_classes_apart(sight: str) -> None:
    assert min(distances("colourblind", sight).values()) > 20
    if sight != "all":
        assert min(distances("camvid", sight).values()) < 10


def test_a_class_set_of_a_user_is_drawn_in_its_own_colours() -> None:
    assert drawn_classes(OWN) == OWN
    assert drawn_classes(CAMVID) != CAMVID
    with pytest.raises(SinkError, match="none for lane"):
        drawn_classes(OWN, "cityscapes")


def test_classes_are_shown_by_name_and_an_unknown_one_lists_the_others() -> None:
    assert hidden_classes(CAMVID, None) == frozenset()
    assert hidden_classes(CAMVID, ("car", "Pedestrian")) == frozenset(range(11)) - {8, 9}
    with pytest.raises(SinkError, match="--show Bus was given, the network knows Sky"):
        hidden_classes(CAMVID, ("Car", "Bus"))


def test_a_hidden_class_leaves_the_picture_as_it_is_and_has_no_place_in_the_legend() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8)
    classes = np.full((36, 48), 3, np.uint8)
    classes[:, 24:] = 8
    hidden = hidden_classes(CAMVID, ("Car",))
    overlay = Overlay(CAMVID, OverlayOptions(opacity=1.0, hidden=hidden))
    assert overlay.tint is None  # a GPU session would paint all classes
    drawn = overlay.draw(frame, classes, class_shares(classes, 11), "")
    assert (drawn[100:, :640] == frame[100:, :640]).all()
    assert (drawn[:, 640:] == np.array(CAMVID.palette[8][::-1])).all()
    colours = {tuple(one[::-1]) for one in drawn[:100, :300].reshape(-1, 3).tolist()}
    assert CAMVID.palette[8] in colours
    everything = Overlay(CAMVID, OverlayOptions(opacity=0.0, hidden=frozenset(range(11))))
    assert (everything.draw(frame, classes, class_shares(classes, 11), "") == frame).all()


@pytest.mark.parametrize("size", [(480, 360), (1280, 720), (1920, 1080)])
def test_the_legend_leaves_the_road_ahead_free(size: tuple[int, int]) -> None:
    width, height = size
    frame = np.full((height, width, 3), 100, np.uint8)
    classes = np.zeros((36, 48), np.uint8)
    drawn = Overlay(CAMVID, OverlayOptions(opacity=0.0)).draw(
        frame, classes, class_shares(classes, 11), "25.0 fps   age 9 ms"
    )
    changed = (drawn != frame).any(axis=2)
    assert changed.any()
    assert not changed[round(0.6 * height) :].any()
    assert not changed[:, round(0.4 * width) :].any()
