"""Smoothed class maps, compared with the definition written out pixel by pixel."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pipeline.stream.frame import ClassMap, Frame
from pipeline.stream.smoothing import LONGEST_GAP, Smoother

_MAPS = arrays.arrays(np.uint8, (5, 3, 4), elements=st.integers(0, 3))


def frame(moment: float) -> Frame:
    return Frame(np.zeros((6, 8, 3), np.uint8), 0, moment, "000000")


def smoothed(maps: list[ClassMap], interval: float = 0.04) -> list[ClassMap]:
    smoother = Smoother(live=True)
    return [smoother.smooth(frame(i * interval), one) for i, one in enumerate(maps)]


@given(_MAPS)
def test_every_pixel_is_the_majority_of_three_or_the_newest(maps: np.ndarray) -> None:
    given_ = maps.copy()
    results = smoothed(list(maps))
    assert np.array_equal(maps, given_)
    assert np.array_equal(results[0], maps[0])
    assert np.array_equal(results[1], maps[1])
    for i in range(2, len(maps)):
        for place in np.ndindex(maps[0].shape):
            votes = [int(one[place]) for one in maps[i - 2 : i + 1]]
            winner, count = Counter(votes).most_common(1)[0]
            assert results[i][place] == (winner if count > 1 else votes[-1])


def test_a_class_that_flashes_up_once_is_not_seen() -> None:
    calm, flash = np.zeros((2, 2), np.uint8), np.full((2, 2), 5, np.uint8)
    results = smoothed([calm, calm, flash, calm, calm])
    assert not any(result.any() for result in results)


def test_a_change_is_seen_one_frame_later() -> None:
    before, after = np.zeros((2, 2), np.uint8), np.ones((2, 2), np.uint8)
    results = smoothed([before, before, before, after, after, after])
    assert [int(result[0, 0]) for result in results] == [0, 0, 0, 0, 1, 1]


def test_maps_from_before_a_gap_say_nothing() -> None:
    before, after = np.zeros((2, 2), np.uint8), np.ones((2, 2), np.uint8)
    smoother = Smoother(live=True)
    for moment in (0.0, 0.04):
        smoother.smooth(frame(moment), before)
    assert smoother.smooth(frame(0.04 + 1.1 * LONGEST_GAP), after).all()


def test_a_file_that_is_read_slowly_has_no_gaps() -> None:
    before, after = np.zeros((2, 2), np.uint8), np.ones((2, 2), np.uint8)
    smoother = Smoother(live=False)
    for moment in (0.0, 10.0):
        smoother.smooth(frame(moment), before)
    assert not smoother.smooth(frame(20.0), after).any()


def test_another_size_starts_anew() -> None:
    smoother = Smoother(live=True)
    for moment in (0.0, 0.04):
        smoother.smooth(frame(moment), np.zeros((2, 2), np.uint8))
    wide = np.ones((2, 3), np.uint8)
    assert np.array_equal(smoother.smooth(frame(0.08), wide), wide)
