"""Overlay pictures: ``NAME.png``, ``NAME.jpg`` and ``overlays:DIR``."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.errors import OutputError, SinkError
from pipeline.stream.frame import Frame, Result
from pipeline.stream.sinks import SinkOptions, numbered, open_sink
from pipeline.stream.sinks.output_file import is_ours


def result(index: int = 0) -> Result:
    rows, columns = np.mgrid[:48, :64].astype(np.uint8)
    overlay = np.dstack([rows, columns, np.full_like(rows, 40 * index)])
    frame = Frame(np.zeros((48, 64, 3), np.uint8), index, 0.0, f"{index:06d}")
    return Result(frame, np.zeros((4, 4), np.uint8), 0.0, overlay=overlay)


@pytest.mark.parametrize(("name", "off"), [("out.png", 0), ("out.jpg", 40), ("OUT.JPEG", 40)])
def test_a_picture_holds_the_overlay_and_is_known_as_ours(
    tmp_path: Path, name: str, off: int
) -> None:
    path = tmp_path / name
    for _ in range(2):  # the second run replaces its own output
        with open_sink(str(path)) as sink:
            sink.write(result())
    read = cv2.imread(str(path))
    assert read is not None
    assert np.abs(read.astype(int) - result().overlay).max() <= off
    assert is_ours(path)
    assert [one.name for one in tmp_path.iterdir()] == [name]


def test_a_second_frame_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    with open_sink(str(tmp_path / "out.png")) as sink:
        sink.write(result())
        with pytest.raises(SinkError, match="overlays:DIR"):
            sink.write(result(1))


def test_a_picture_of_somebody_else_stays(tmp_path: Path) -> None:
    path = tmp_path / "mine.png"
    cv2.imwrite(str(path), np.zeros((4, 4, 3), np.uint8))
    before = path.read_bytes()
    with pytest.raises(OutputError, match="--force"):
        open_sink(str(path))
    assert path.read_bytes() == before
    with open_sink(str(path), SinkOptions(force=True)) as sink:
        sink.write(result())
    assert is_ours(path)


def test_a_folder_gets_a_picture_per_frame_and_a_list(tmp_path: Path) -> None:
    folder = tmp_path / "drawn"
    with open_sink(f"overlays:{folder}", SinkOptions(fps=10.0)) as sink:
        assert sink.wants_overlay
        for index in range(3):
            sink.write(result(index))
    for index in range(3):
        read = cv2.imread(str(folder / f"{index:06d}.png"))
        np.testing.assert_array_equal(read, result(index).overlay)
    assert (folder / "manifest.csv").read_text().splitlines()[-1] == "000002.png,2,0.2000"


def test_several_cameras_have_pictures_of_their_own() -> None:
    assert numbered("out.png", 2) == "out-2.png"
    assert numbered("overlays:a/b", 2) == "overlays:a/b/2"
