"""Where frames come from: files, pictures, cameras, and their errors."""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from videos import write_video

from pipeline.errors import SourceError
from pipeline.stream.frame import Frame
from pipeline.stream.sources import SourceOptions, open_source
from pipeline.stream.sources.base import Source


def picture(value: int, size: tuple[int, int] = (64, 48)) -> np.ndarray:
    """Noise around a grey level, so that compressed frames have some size."""
    width, height = size
    noise = np.random.default_rng(value).integers(0, 100, (height, width, 3))
    return (noise + value % 150).astype(np.uint8)


def pictures(count: int) -> list[np.ndarray]:
    return [picture(index) for index in range(count)]


def read_all(source: Source) -> list[Frame]:
    frames = []
    while (frame := source.read()) is not None:
        frames.append(frame)
    return frames


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_a_video_delivers_every_frame_in_order(tmp_path: Path, suffix: str) -> None:
    write_video(tmp_path / f"drive{suffix}", pictures(12), fps=10.0)
    with open_source(str(tmp_path / f"drive{suffix}")) as source:
        assert (source.fps, source.promised, source.live) == (10.0, 12, False)
        frames = read_all(source)
    assert [frame.index for frame in frames] == list(range(12))
    assert frames[3].name == "000003"
    assert frames[0].image.shape == (48, 64, 3)
    assert frames[0].image.dtype == np.uint8
    assert frames[0].captured <= frames[1].captured
    assert source.problems == []
    assert source.read() is None


@pytest.mark.parametrize("content", [b"", b"no video at all" * 40])
def test_a_file_that_is_no_video_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.mp4"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=rf"broken\.mp4 \({len(content)} bytes\)"):
        open_source(str(path))


def test_a_missing_path_is_refused_with_what_can_be_given(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"does not exist.*camera number"):
        open_source(str(tmp_path / "nothing.mp4"))


def test_a_video_cut_off_says_both_numbers(tmp_path: Path) -> None:
    path = tmp_path / "cut.avi"  # stores its count at its head, as a streamed mp4 does
    write_video(path, pictures(60), "MJPG", 10.0)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 6 // 10])
    with open_source(str(path)) as source:
        frames = read_all(source)
    assert 0 < len(frames) < 60
    assert len(source.problems) == 1
    assert f"delivered {len(frames)} of the 60 frames" in source.problems[0]


def test_a_road_video_cut_at_60_percent_says_both_numbers(tmp_path: Path, road_data: Path) -> None:
    whole = (road_data / "videos" / "udacity_solidWhiteRight.mp4").read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole[: len(whole) * 6 // 10])
    with open_source(str(path)) as source:
        delivered = len(read_all(source))
    assert 0 < delivered < 221
    assert f"delivered {delivered} of the 221 frames" in source.problems[0]


def test_a_road_video_with_garbage_inside_goes_on_behind_it_and_says_both_numbers(
    tmp_path: Path, road_data: Path
) -> None:
    content = bytearray((road_data / "videos" / "udacity_solidWhiteRight.mp4").read_bytes())
    middle = len(content) // 2
    content[middle : middle + 20_000] = np.random.default_rng(0).bytes(20_000)
    path = tmp_path / "garbage.mp4"
    path.write_bytes(content)
    with open_source(str(path)) as source:
        delivered = len(read_all(source))
    assert 200 < delivered < 221
    assert f"delivered {delivered} of the 221 frames" in source.problems[0]


def write_pictures(folder: Path, count: int) -> None:
    folder.mkdir(exist_ok=True)
    for index in range(count):
        cv2.imwrite(str(folder / f"road_{index}.png"), picture(index))


def test_a_directory_delivers_its_pictures_by_name(tmp_path: Path) -> None:
    write_pictures(tmp_path, 3)
    with open_source(str(tmp_path)) as source:
        assert source.promised == 3
        assert [frame.name for frame in read_all(source)] == ["road_0", "road_1", "road_2"]
    assert source.problems == []


def test_a_single_picture_is_a_source_of_one_frame(tmp_path: Path) -> None:
    write_pictures(tmp_path, 1)
    with open_source(str(tmp_path / "road_0.png")) as source:
        frames = read_all(source)
    np.testing.assert_array_equal(frames[0].image, picture(0))


def test_a_pattern_delivers_what_it_finds(tmp_path: Path) -> None:
    write_pictures(tmp_path, 12)
    with open_source(str(tmp_path / "road_1*.png")) as source:
        assert [frame.name for frame in read_all(source)] == ["road_1", "road_10", "road_11"]


def test_broken_pictures_are_skipped_counted_and_named(tmp_path: Path) -> None:
    write_pictures(tmp_path, 5)
    (tmp_path / "road_0.png").write_bytes(b"not a picture")
    whole = (tmp_path / "road_3.png").read_bytes()
    (tmp_path / "road_3.png").write_bytes(whole[: len(whole) // 2])
    with open_source(str(tmp_path)) as source:
        frames = read_all(source)
    assert [frame.name for frame in frames] == ["road_1", "road_2", "road_4"]
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert source.skipped == 2
    assert "holds 5 pictures, 2 of them" in source.problems[0]
    assert "road_0.png, road_3.png" in source.problems[0]


def test_pictures_with_the_same_stem_keep_different_names(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), picture(1))
    cv2.imwrite(str(tmp_path / "a.bmp"), picture(2))
    with open_source(str(tmp_path)) as source:
        assert [frame.name for frame in read_all(source)] == ["a.bmp", "a.png"]


def test_a_directory_of_broken_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no")
    with pytest.raises(SourceError, match="none of the 1 pictures"):
        open_source(str(tmp_path))


def test_a_directory_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no pictures?"):
        open_source(str(tmp_path))


@pytest.mark.parametrize("name", ["missing.png", "none_*.png"])
def test_pictures_that_are_not_there_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceError, match=r"does not exist|finds no picture"):
        open_source(str(tmp_path / name))


@pytest.mark.parametrize("text", ["97", "/dev/video97"])
def test_a_camera_that_is_not_there_is_refused(text: str) -> None:
    with pytest.raises(SourceError, match="camera 97 gives no picture; this machine has"):
        open_source(text)


def test_a_url_that_nobody_serves_is_refused_without_its_password() -> None:
    with pytest.raises(SourceError, match=r"http://127\.0\.0\.1:9/cam gives no video"):
        open_source("http://user:secret@127.0.0.1:9/cam")


def test_a_synthetic_drive_has_labels_and_the_size_asked_for() -> None:
    with open_source("synthetic:128x96") as source:
        frames = [source.read() for _ in range(2)]
        assert (source.live, source.promised) == (False, None)
    for frame in frames:
        assert frame is not None
        assert frame.image.shape == (96, 128, 3)
        assert frame.label is not None
        assert frame.label.shape == (96, 128)


@pytest.mark.parametrize("text", ["synthetic:12x9", "synthetic:big", "synthetic:9999x64"])
def test_a_synthetic_drive_of_unusable_size_is_refused(text: str) -> None:
    with pytest.raises(SourceError, match="synthetic:WIDTHxHEIGHT"):
        open_source(text)


def test_a_file_in_real_time_is_live_and_keeps_its_rate(tmp_path: Path) -> None:
    write_video(tmp_path / "drive.mp4", pictures(6), fps=50.0)
    with open_source(str(tmp_path / "drive.mp4"), SourceOptions(realtime=True)) as source:
        assert (source.live, source.fps, source.promised) == (True, 50.0, 6)
        frames = read_all(source)
    moments = [frame.captured - frames[0].captured for frame in frames]
    assert all(moment >= 0.02 * index - 1e-3 for index, moment in enumerate(moments))
    assert frames[-1].captured <= time.monotonic()


def test_a_closed_source_is_at_its_end(tmp_path: Path) -> None:
    write_pictures(tmp_path, 2)
    source = open_source(str(tmp_path))
    source.close()
    source.close()
    assert source.read() is None
