"""``--start``, ``--every`` and ``--loop``: part of a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.errors import SourceError
from pipeline.stream.sources import Source, SourceOptions, open_source

FPS, COUNT = 10.0, 12

Read = Callable[..., list[tuple[int, str]]]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "drive.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), FPS, (64, 64))
    for index in range(COUNT):
        writer.write(np.full((64, 64, 3), 20 * index, np.uint8))
    writer.release()
    return path


def frames(source: Source, most: int = 100) -> list[tuple[int, str, int]]:
    """Return index, name and brightness, in steps of the video, of each frame."""
    found = []
    while len(found) < most and (frame := source.read()) is not None:
        found.append((frame.index, frame.name, round(float(frame.image.mean()) / 20)))
    return found


def test_a_start_is_left_out_and_time_begins_there(video: Path) -> None:
    with open_source(str(video), SourceOptions(start=0.9)) as source:
        assert (source.promised, source.fps) == (3, FPS)
        assert frames(source) == [(0, "000009", 9), (1, "000010", 10), (2, "000011", 11)]
        assert source.problems == []


@pytest.mark.parametrize(("every", "taken"), [(2, [0, 2, 4, 6, 8, 10]), (5, [0, 5, 10])])
def test_one_of_n_frames_keeps_its_place_in_time(video: Path, every: int, taken: list[int]) -> None:
    with open_source(str(video), SourceOptions(every=every)) as source:
        assert source.promised == len(taken)
        assert [(index, shade) for index, _, shade in frames(source)] == [(i, i) for i in taken]


def test_a_loop_counts_on_and_names_no_frame_twice(video: Path) -> None:
    with open_source(str(video), SourceOptions(start=0.8, every=2, loop=True)) as source:
        assert source.endless
        assert source.promised is None
        found = frames(source, 5)
    assert [shade for _, _, shade in found] == [8, 10, 8, 10, 8]
    assert [index for index, _, _ in found] == [0, 2, 4, 6, 8]
    assert len({name for _, name, _ in found}) == 5


def test_pictures_are_taken_in_parts_and_again(tmp_path: Path) -> None:
    for name in "abc":
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.zeros((8, 8, 3), np.uint8))
    with open_source(str(tmp_path), SourceOptions(every=2, loop=True)) as source:
        assert [name for _, name, _ in frames(source, 4)] == ["a", "c", "a-2", "c-2"]


def test_played_at_its_own_rate_a_part_is_live(video: Path) -> None:
    with open_source(str(video), SourceOptions(start=1.0, realtime=True)) as source:
        assert source.live
        assert [shade for _, _, shade in frames(source)] == [10, 11]


def test_a_start_behind_the_end_is_one_line(video: Path) -> None:
    with pytest.raises(SourceError, match=r"has no frame at 60 s; give an earlier --start"):
        open_source(str(video), SourceOptions(start=60.0))


def test_a_start_needs_a_rate(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(SourceError, match="no frame rate to count seconds by"):
        open_source(str(tmp_path), SourceOptions(start=1.0))


def test_closing_ends_a_loop(video: Path) -> None:
    source = open_source(str(video), SourceOptions(loop=True))
    assert source.read() is not None
    source.close()
    assert source.read() is None
