"""``convert-labels``: labels of other data sets become ours, and can be read as ours."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from plain_png import png

from calibration.scenes.class_file import read_classes
from calibration.scenes.dataset import open_labelled_folder
from calibration.scenes.label_kinds import LABEL_KINDS
from models.classes import CAMVID, voc_colour
from pipeline.cli import main

Captured = pytest.CaptureFixture[str]


def blocks(values: list[int]) -> np.ndarray:
    """Return a map of 16 x 16 squares, one per value."""
    return np.repeat(np.repeat(np.array([values]), 16, 0), 16, 1)


def in_colour(indices: np.ndarray, colours: list[tuple[int, int, int]]) -> np.ndarray:
    return np.array(colours, np.uint8)[indices][..., ::-1]  # BGR, as OpenCV writes


def written(folder: Path, name: str, image: np.ndarray) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(folder / name), image)


def converted(tmp_path: Path, *more: str) -> Path:
    given = ["convert-labels", str(tmp_path / "in"), "--output", str(tmp_path / "out"), *more]
    assert main(given) == 0
    return tmp_path / "out"


def labels_of(folder: Path) -> dict[str, np.ndarray]:
    found = (folder / "labels").iterdir()
    return {path.stem: cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in found}


@pytest.mark.parametrize("asked", [(), ("--from", "camvid")])
def test_camvids_own_colours_become_the_eleven_classes(
    tmp_path: Path, asked: tuple[str, ...]
) -> None:
    kind = LABEL_KINDS["camvid"]
    assert len(kind.colours) == 32
    colours = list(kind.colours)
    written(tmp_path / "in", "0001TP_1_L.png", in_colour(blocks(list(range(32))), colours))
    written(tmp_path / "pictures", "0001TP_1.png", np.full((16, 512, 3), 9, np.uint8))
    out = converted(tmp_path, *asked, "--images", str(tmp_path / "pictures"))
    sample = open_labelled_folder(out, CAMVID)[0]
    assert np.array_equal(sample.label, blocks([kind.colours[colour] for colour in colours]))
    road = colours.index((128, 0, 192))  # LaneMkgsDriv
    assert CAMVID.names[sample.label[0, road * 16]] == "Road"
    assert read_classes(out / "classes.txt").names == (*CAMVID.names, "void")


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("form", ["ids", "colours", "train ids"])
def test_cityscapes_and_bdd_become_train_ids(tmp_path: Path, form: str, alpha: bool) -> None:
    kind = LABEL_KINDS["cityscapes"]
    wanted = blocks([0, 1, 10, 13, 18, 255])
    folder = tmp_path / "in" / "aachen"
    stem = "aachen_000000_000019_gtFine"
    if form == "ids":
        image = blocks([7, 8, 23, 26, 33, 3]).astype(np.uint8)
        written(folder, f"{stem}_labelIds.png", image)
        written(folder, f"{stem}_instanceIds.png", image.astype(np.uint16) * 1000)
    elif form == "train ids":
        written(folder, f"{stem}_labelTrainIds.png", wanted.astype(np.uint8))
    else:
        palette = {index: colour for colour, index in kind.colours.items()}
        chosen = [palette[index] for index in (0, 1, 10, 13, 18, 255)]
        image = in_colour(blocks(list(range(6))), chosen)
        if alpha:
            image = np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
        written(folder, f"{stem}_color.png", image)
    labels = labels_of(converted(tmp_path))
    assert list(labels) == ["aachen_000000_000019"]
    assert np.array_equal(labels["aachen_000000_000019"], wanted)


@pytest.mark.parametrize("form", ["palette", "colours"])
def test_vocs_palette_becomes_its_indices(tmp_path: Path, form: str) -> None:
    values = [0, 2, 7, 15, 20, 255]
    colours = [voc_colour(value) for value in values]
    if form == "colours":
        written(tmp_path / "in", "2007.png", in_colour(blocks(list(range(6))), colours))
    else:
        content = png(blocks(values), 8, 3)
        begin = content.index(b"PLTE") + 4
        palette = bytes(part for value in range(256) for part in voc_colour(value))
        crc = struct.pack(">I", zlib.crc32(b"PLTE" + palette))
        content = content[:begin] + palette + crc + content[begin + len(palette) + 4 :]
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "2007.png").write_bytes(content)
    assert np.array_equal(labels_of(converted(tmp_path))["2007"], blocks(values))


@pytest.mark.parametrize("channels", [1, 3])
def test_masks_of_0_and_255_become_two_classes(tmp_path: Path, channels: int) -> None:
    mask = np.repeat(blocks([0, 255])[..., None].astype(np.uint8), channels, 2)
    written(tmp_path / "in", "a.png", mask.squeeze())
    assert np.array_equal(labels_of(converted(tmp_path))["a"], blocks([0, 1]))


def test_colours_of_a_class_file(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_text("grass 0,255,0\nroad 9,9,9\n")
    written(
        tmp_path / "in", "a.png", in_colour(blocks([1, 0, 2]), [(0, 255, 0), (9, 9, 9), (0,) * 3])
    )
    out = converted(tmp_path, "--classes", str(tmp_path / "c.txt"))
    assert np.array_equal(labels_of(out)["a"], blocks([1, 0, 255]))


def test_shares_and_classes_without_a_pixel_are_said(tmp_path: Path, capsys: Captured) -> None:
    written(tmp_path / "in", "a.png", in_colour(blocks([0]), [(128, 64, 128)]))
    written(tmp_path / "in", "b.png", in_colour(blocks([0]), [(128, 0, 192)]))
    converted(tmp_path, "--json")
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["kind"] == "camvid"
    assert told["shares"]["Road"] == 1.0
    assert "Sky" in told["without_pixels"]


@pytest.mark.parametrize(
    ("image", "more", "says"),
    [
        (in_colour(blocks([0]), [(1, 2, 3)]), (), "none of the known data sets"),
        (in_colour(blocks([0]), [(1, 2, 3)]), ("--from", "camvid"), "1,2,3"),
        (blocks([0, 77]).astype(np.uint8), ("--from", "cityscapes"), "holds the values 77"),
        (blocks([0, 1]).astype(np.uint8), (), "say what they are with --from"),
    ],
)  # fmt: skip
def test_what_fits_nothing_is_refused_and_nothing_replaced(
    tmp_path: Path, capsys: Captured, image: np.ndarray, more: tuple[str, ...], says: str
) -> None:
    written(tmp_path / "in", "a.png", image)
    given = ["convert-labels", str(tmp_path / "in"), "--output", str(tmp_path / "out"), *more]
    assert main(given) == 1
    assert says in capsys.readouterr().err.splitlines()[-1]
    assert not list(tmp_path.glob("out/labels/*"))


def test_labels_that_are_there_stay_without_force(tmp_path: Path, capsys: Captured) -> None:
    written(tmp_path / "in", "a.png", blocks([0, 255]).astype(np.uint8))
    converted(tmp_path)
    given = ["convert-labels", str(tmp_path / "in"), "--output", str(tmp_path / "out")]
    assert main(given) == 1
    assert "--force" in capsys.readouterr().err
    assert main([*given, "--force"]) == 0
    assert main(["convert-labels", str(tmp_path / "out" / "labels"), "--output",
                 str(tmp_path / "out"), "--force"]) == 1  # fmt: skip
    assert "would replace the labels" in capsys.readouterr().err
