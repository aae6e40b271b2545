"""Class sets from a text file."""

from __future__ import annotations

from pathlib import Path

import pytest

from calibration.errors import DataError
from calibration.scenes.class_file import read_classes
from models.classes import BUILT_IN, CAMVID, ClassSet


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


NAMES = ("road", "traffic sign", "Café & bar", "void")
COLOURS = ((128, 64, 128), (0, 0, 7), (255, 255, 255), (0, 0, 0))
#: How other tools write a class with its colour; {i} is its number.
FORMS = {
    "ours": "{n} {r},{g},{b}",
    "brackets": "{n} [{r}, {g}, {b}]",
    "spaces": "{n} {r} {g} {b}",
    "tabs": "{n}\t{r}\t{g}\t{b}",
    "CamVid": "{r} {g} {b}\t\t{n}",
    "colour first": "{r},{g},{b} {n}",
    "CSV": "{n},{r},{g},{b}",
    "CSV with gaps": "{n}, {r}, {g}, {b}",
    "CSV with quotes": '"{n}",{r},{g},{b}',
    "semicolons": "{n};{r};{g};{b}",
    "colour first CSV": "{r},{g},{b},{n}",
    "CVAT": "{n}:{r},{g},{b}::",
    "hexadecimal": "{n} #{r:02x}{g:02X}{b:02x}",
    "numbered CSV": "{i},{n},{r},{g},{b}",
    "numbered": "{i}: {n} {r} {g} {b}",
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_forms_of_other_tools_are_read(file: Path, form: str, encoding: str, end: str) -> None:
    lines = [
        FORMS[form].format(i=i, n=name, r=r, g=g, b=b)
        for i, (name, (r, g, b)) in enumerate(zip(NAMES, COLOURS, strict=True))
    ]
    text = end.join(["# our town", "", *lines, ""])
    file.write_bytes(text.encode(encoding))
    assert read_classes(file) == ClassSet(NAMES, COLOURS, 3)


@pytest.mark.parametrize("heading", ["name,r,g,b", "class_name, red, green, blue"])
def test_a_heading_is_no_class(file: Path, heading: str) -> None:
    file.write_text(f"{heading}\nroad,1,2,3\ncar,4,5,6\n")
    assert read_classes(file).names == ("road", "car")


def test_names_may_be_numbered_where_they_count_from_zero(file: Path) -> None:
    file.write_text("0 road\n1 car\n2 void\n")
    assert read_classes(file).names == ("road", "car", "void")


@pytest.mark.parametrize(
    "line",
    [
        "names:", "- road", "  0: road", "nc: 3", "names: [road, car]", "{", '"road": 3,', "[road]",
        "road, car", "128 64 128", "128,64,128", "road 128 64", "road 128 64 128 255", "road=3",
        "1 2 road", "12", "--", "<road>", "road; car; tree", "\ufeffroad", "ro\x07ad", "1 road",
        "road,128,64", "a:b:c:d",
    ],
)  # fmt: skip
def test_any_other_line_is_refused_with_its_number(file: Path, line: str) -> None:
    file.write_text(f"# classes\nsky\n{line}\ncar\n")
    with pytest.raises(DataError, match=r"line 3: ") as caught:
        read_classes(file)
    assert "\n" not in str(caught.value)


def test_numbers_that_do_not_count_from_zero_are_refused(file: Path) -> None:
    file.write_text("1 road\n2 car\n")
    with pytest.raises(DataError, match="line 1: '1 road' has the number 1, expected 0"):
        read_classes(file)


def test_class_sets_of_known_data_sets_need_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert {name: read_classes(name) for name in BUILT_IN} == BUILT_IN
    (tmp_path / "voc").write_text("road\ncar\n")  # now the file is meant
    assert read_classes(Path("voc")).names == ("road", "car")
    with pytest.raises(DataError, match=r"or one of camvid, cityscapes, voc; check --classes"):
        read_classes("pascal")
