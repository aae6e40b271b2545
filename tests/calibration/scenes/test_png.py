"""Labels are read exactly as stored, from every kind of PNG."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_png import png

from calibration.errors import DataError
from calibration.scenes.dataset import read_label
from calibration.scenes.png import palette_of, stored_values
from models.classes import ClassSet

#: Combinations of colour type and bits that the specification allows.
KINDS = [(0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (2, 8), (2, 16), (3, 1), (3, 2), (3, 4), (3, 8)]
KINDS += [(4, 8), (4, 16), (6, 8), (6, 16)]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.sampled_from(KINDS),
    st.integers(1, 19),
    st.integers(1, 19),
    st.booleans(),
    st.integers(0, 99),
)
def test_stored_values_come_back(
    kind: tuple[int, int], height: int, width: int, interlaced: bool, seed: int
) -> None:
    colour, depth = kind
    high = min(2**depth, 1000)
    values = np.random.default_rng(seed).integers(0, high, (height, width))
    found = stored_values(png(values, depth, colour, interlaced))
    assert found is not None
    if found.ndim == 3:
        assert (found == found[..., :1]).all()
        found = found[..., 0]
    assert np.array_equal(found, values)


@pytest.mark.parametrize(("colour", "depth"), KINDS)
def test_a_label_of_any_kind_is_class_indices(colour: int, depth: int, tmp_path: Path) -> None:
    classes = ClassSet(("other", "road"), ((0, 0, 0), (128, 64, 128)))
    values = np.random.default_rng(3).integers(0, 2, (9, 13))
    if depth >= 8:
        values[0, 0] = 255
    path = tmp_path / "label.png"
    path.write_bytes(png(values, depth, colour))
    label = read_label(path, classes)
    assert label.dtype == np.uint8
    assert np.array_equal(label, values)


def test_sixteen_bits_beyond_a_byte_are_named(tmp_path: Path) -> None:
    path = tmp_path / "label.png"
    path.write_bytes(png(np.full((2, 2), 301), 16, 0))
    with pytest.raises(DataError, match="4 pixels hold 301"):
        read_label(path, ClassSet(("a", "b"), ((0, 0, 0), (1, 1, 1))))


def test_a_palette_is_told_apart_from_grey() -> None:
    values = np.zeros((2, 2), int)
    palette = palette_of(png(values, 4, 3))
    assert palette is not None
    assert palette.shape == (16, 3)
    assert palette_of(png(values, 4, 0)) is None


@pytest.mark.parametrize("cut", [0, 4, 20, 60])
def test_what_is_no_whole_png_is_none(cut: int) -> None:
    assert stored_values(png(np.zeros((40, 40), int), 8, 0)[:cut]) is None
