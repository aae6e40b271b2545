"""Reading labelled pictures, and the messages about folders that cannot be read."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.errors import DataError
from calibration.scenes.dataset import (
    PICTURE_SUFFIXES,
    list_pictures,
    open_labelled_folder,
    read_label,
    read_picture,
)
from models.classes import CAMVID


def write(path: Path, picture: NDArray[np.generic]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture)


def random_picture(seed: int, height: int = 20, width: int = 30) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def random_label(seed: int, height: int = 20, width: int = 30) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 12, (height, width), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three labelled pictures in three formats, in a different order than they were written."""
    for seed, (stem, suffix) in enumerate((("b", "bmp"), ("c", "png"), ("a", "tiff"))):
        write(tmp_path / "images" / f"{stem}.{suffix}", random_picture(seed))
        write(tmp_path / "labels" / f"{stem}.png", random_label(seed))
    return tmp_path


def one_line(error: pytest.ExceptionInfo[DataError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def test_samples_come_in_name_order_with_their_own_labels(folder: Path) -> None:
    samples = open_labelled_folder(folder, CAMVID)
    assert len(samples) == 3
    assert [sample.name for sample in samples] == ["a", "b", "c"]
    for sample, seed in zip(samples, (2, 0, 1), strict=True):
        assert np.array_equal(sample.image, random_picture(seed))
        assert np.array_equal(sample.label, random_label(seed))
        assert sample.image.dtype == sample.label.dtype == np.uint8
    assert samples[-1].name == "c"
    with pytest.raises(IndexError):
        samples[3]


def test_labels_without_a_picture_and_other_files_are_left_out(folder: Path) -> None:
    write(folder / "labels" / "more.png", random_label(9))
    (folder / "images" / "notes.txt").write_text("not a picture")
    (folder / "images" / ".hidden.png").write_bytes(b"not shown")
    (folder / "images" / "folder.png").mkdir()
    assert len(open_labelled_folder(folder, CAMVID)) == 3


def test_the_case_of_a_suffix_does_not_matter(tmp_path: Path) -> None:
    write(tmp_path / "images" / "x.JPG", random_picture(0))
    write(tmp_path / "labels" / "x.png", random_label(0))
    assert open_labelled_folder(tmp_path, CAMVID)[0].name == "x"


@pytest.mark.parametrize(
    "suffix", sorted(PICTURE_SUFFIXES - {".jp2", ".pbm", ".pgm", ".jfif", ".gif"})
)
def test_a_picture_of_any_format_is_matched_to_its_label_by_stem(
    tmp_path: Path, suffix: str
) -> None:
    # Excluded: formats with one channel or few colours, for larger pictures, or not written.
    write(tmp_path / "images" / f"x.y{suffix}", np.full((20, 30, 3), 90, np.uint8))
    write(tmp_path / "labels" / "x.y.png", random_label(0))
    sample = open_labelled_folder(tmp_path, CAMVID)[0]
    assert sample.name == "x.y"
    assert np.abs(sample.image.astype(int) - 90).max() <= 2
    assert np.array_equal(sample.label, random_label(0))


@pytest.mark.parametrize("gone", ["", "images", "labels"])
def test_a_missing_folder_is_named(folder: Path, gone: str) -> None:
    (folder / gone if gone else folder).rename(folder.with_name(f"{folder.name}-moved"))
    with pytest.raises(DataError, match="no such folder") as caught:
        open_labelled_folder(folder, CAMVID)
    assert str(folder / gone) in one_line(caught)


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    with pytest.raises(DataError, match="no pictures") as caught:
        open_labelled_folder(tmp_path, CAMVID)
    one_line(caught)


def test_pictures_without_labels_are_counted_and_the_first_few_named(folder: Path) -> None:
    for number in range(5):
        write(folder / "images" / f"new{number}.png", random_picture(number))
    with pytest.raises(DataError, match="5 of 8 pictures have no label") as caught:
        open_labelled_folder(folder, CAMVID)
    text = one_line(caught)
    assert "new0.png, new1.png, new2.png and 2 more" in text
    assert "new3" not in text


def test_two_pictures_that_would_share_a_label_are_refused(folder: Path) -> None:
    write(folder / "images" / "a.png", random_picture(7))
    with pytest.raises(DataError, match="more than one picture named a;"):
        open_labelled_folder(folder, CAMVID)


@pytest.mark.parametrize("content", [b"", b"no picture at all", None])
def test_a_broken_picture_is_an_error_when_it_is_read(folder: Path, content: bytes | None) -> None:
    broken = folder / "images" / "c.png"
    # None: the first half of a real picture.
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2] if content is None else content)
    samples = open_labelled_folder(folder, CAMVID)
    assert samples[0].name == "a"
    with pytest.raises(DataError) as caught:
        samples[2]
    assert str(broken) in one_line(caught)


def test_a_broken_label_is_an_error_when_it_is_read(folder: Path) -> None:
    (folder / "labels" / "b.png").write_bytes(b"\x89PNG but no more")
    with pytest.raises(DataError, match=r"b\.png.*cannot be decoded"):
        open_labelled_folder(folder, CAMVID)[1]


def test_a_label_of_another_size_is_refused_with_both_sizes(folder: Path) -> None:
    write(folder / "labels" / "a.png", random_label(0, height=10, width=15))
    with pytest.raises(DataError, match=r"15x10.*30x20") as caught:
        open_labelled_folder(folder, CAMVID)[0]
    one_line(caught)


def test_label_values_outside_the_class_set_are_named(tmp_path: Path) -> None:
    label = random_label(0)
    label[0, :3] = (12, 255, 77)
    write(tmp_path / "strange.png", label)
    with pytest.raises(
        DataError, match="3 pixels hold 12, 77, 255; expected 0 to 10 or 11"
    ) as caught:
        read_label(tmp_path / "strange.png", CAMVID)
    one_line(caught)


def test_a_label_in_colour_is_refused_and_the_converter_named(tmp_path: Path) -> None:
    write(tmp_path / "wrong.png", random_picture(0))
    with pytest.raises(DataError, match=r"holds colours.*convert-labels") as caught:
        read_label(tmp_path / "wrong.png", CAMVID)
    one_line(caught)


@pytest.mark.parametrize("suffix", ["PNG", "Png"])
def test_the_case_of_a_labels_suffix_does_not_matter(tmp_path: Path, suffix: str) -> None:
    write(tmp_path / "images" / "x.jpg", random_picture(0))
    write(tmp_path / "labels" / "x.png", random_label(0))
    (tmp_path / "labels" / "x.png").rename(tmp_path / "labels" / f"x.{suffix}")
    assert np.array_equal(open_labelled_folder(tmp_path, CAMVID)[0].label, random_label(0))


def test_pictures_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in range(12):
        write(tmp_path / "images" / f"frame_{number}.png", random_picture(number))
        write(tmp_path / "labels" / f"frame_{number}.png", random_label(number))
    wanted = [f"frame_{number}" for number in range(12)]
    assert [path.stem for path in list_pictures(tmp_path)] == wanted
    assert [sample.name for sample in open_labelled_folder(tmp_path, CAMVID)] == wanted


def test_grey_and_transparent_pictures_are_read_as_three_channels(tmp_path: Path) -> None:
    write(tmp_path / "grey.png", random_label(0))
    write(tmp_path / "clear.png", np.dstack([random_picture(1), random_label(1)]))
    for name in ("grey.png", "clear.png"):
        assert read_picture(tmp_path / name).shape == (20, 30, 3)


def test_a_missing_picture_is_an_error_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.png: cannot be read \(No such file"):
        read_picture(tmp_path / "gone.png")


def test_pictures_are_listed_from_a_folder_or_from_the_images_in_it(folder: Path) -> None:
    names = ["a.tiff", "b.bmp", "c.png"]
    assert [path.name for path in list_pictures(folder)] == names
    assert [path.name for path in list_pictures(folder / "images")] == names
    write(folder / "own.png", random_picture(0))
    assert [path.name for path in list_pictures(folder)] == ["own.png"]


@pytest.mark.parametrize("name", ["gone", "file.txt"])
def test_listing_what_is_no_folder_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "file.txt").write_text("")
    with pytest.raises(DataError, match="no such folder"):
        list_pictures(tmp_path / name)


@pytest.mark.road_data
def test_the_val_split_of_camvid_is_read_whole(road_data: Path) -> None:
    samples = open_labelled_folder(road_data / "camvid" / "val", CAMVID)
    assert len(samples) == 101
    pixels = np.zeros(256, np.int64)
    for index in range(0, len(samples), 10):
        assert samples[index].image.shape == (360, 480, 3)
        pixels += np.bincount(samples[index].label.ravel(), minlength=256)
    assert (pixels[:12] > 0).all()
