"""Class sets from a text file."""

from __future__ import annotations

from pathlib import Path

import pytest

from calibration.errors import DataError
from calibration.scenes.class_file import read_classes
from models.classes import CAMVID, ClassSet


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "classes.txt"


def test_a_line_is_a_name_with_or_without_a_colour(file: Path) -> None:
    file.write_text("# a comment\nroad 128,64,128\n\ntraffic sign [192, 128, 128]\nvoid\ncar 2\n")
    found = read_classes(file)
    assert found.names == ("road", "traffic sign", "void", "car 2")
    assert found.palette[:3] == ((128, 64, 128), (192, 128, 128), (0, 0, 0))
    assert found.void == 2


def test_without_a_void_line_void_is_255(file: Path) -> None:
    file.write_text("road\ncar\n")
    assert read_classes(file).void == 255
    assert len(read_classes(file)) == 2


def test_classes_without_colours_get_different_ones(file: Path) -> None:
    file.write_text("".join(f"class {i}\n" for i in range(255)))
    palette = read_classes(file).palette
    assert len(set(palette)) == 255
    assert (0, 0, 0) not in palette
    assert all(0 <= part <= 255 for colour in palette for part in colour)


def test_camvid_can_be_written_as_a_file(file: Path) -> None:
    lines = [
        f"{name} {','.join(map(str, colour))}"
        for name, colour in zip(CAMVID.names, CAMVID.palette, strict=True)
    ]
    file.write_text("\n".join([*lines, "Void"]))
    expected = ClassSet((*CAMVID.names, "void"), (*CAMVID.palette, (0, 0, 0)), CAMVID.void)
    assert read_classes(file) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names 0 classes beside void, expected 2 to 255"),
        ("road\nvoid\n", "names 1 classes beside void"),
        ("road\ncar\nroad\n", "line 3: the class 'road' was named before"),
        ("road 1,2,256\ncar\n", "line 1: the colour 1,2,256 has a part above 255"),
        ("".join(f"c{i}\n" for i in range(256)), "names 256 classes"),
        (b"\xff\xfe\x00", "cannot be read"),
        (None, "cannot be read .*No such file"),
    ],
)
def test_what_cannot_be_used_is_one_line(
    file: Path, text: str | bytes | None, message: str
) -> None:
    if text is not None:
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=message) as caught:
        read_classes(file)
    assert "\n" not in str(caught.value)
