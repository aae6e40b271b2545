"""Outputs have their own names, and no input is overwritten."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from timed_videos import write_timed

from calibration.scenes.natural_order import natural
from models.classes import CAMVID
from pipeline.cli import main
from pipeline.errors import SinkError
from pipeline.stream.frame import Result
from pipeline.stream.own_files import check_outputs
from pipeline.stream.sinks import SinkOptions, open_sink
from pipeline.stream.sinks.masks import MaskSink
from pipeline.stream.sources import open_source
from pipeline.stream.sources.picture_names import unique_names


def pictures(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for grey, name in enumerate(names):
        (folder / name).write_bytes(
            cv2.imencode(".png", np.full((16, 24, 3), 20 * grey, np.uint8))[1].tobytes()
        )
    return folder


def masks_of(pattern: str, folder: Path) -> list[str]:
    """Return the names of a source's masks, in the order in which they are written."""
    names = []
    sink = open_sink(f"masks-index:{folder}", SinkOptions(classes=CAMVID))
    with open_source(pattern) as source, sink:
        for frame in iter(source.read, None):
            sink.write(Result(frame, np.zeros((16, 24), np.uint8), 0.0))
            names.append(frame.name)
    assert sorted(path.stem for path in folder.glob("*.png")) == sorted(names)
    return names


def test_pictures_of_one_name_in_two_folders_have_two_masks(tmp_path: Path) -> None:
    for camera in ("cam1", "cam2"):
        pictures(tmp_path / "cams" / camera, "0000.png", "0001.png", "0002.png")
    names = masks_of(f"{tmp_path}/cams/*/*.png", tmp_path / "out")
    assert names == [f"cam{c}-000{n}" for c in (1, 2) for n in range(3)]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from(["a", "b", "a-b", "c"]), max_size=3),
            st.sampled_from(["x", "b-x", "x-2", "y" * 244]),
            st.sampled_from([".jpg", ".png", ".PNG"]),
        ),
        min_size=1,
        max_size=12,
        unique_by=str,
    )
)
def test_names_are_always_unique_and_fit_a_file_system(
    files: list[tuple[list[str], str, str]],
) -> None:
    paths = [Path("/data", *folders, stem + suffix) for folders, stem, suffix in files]
    names = unique_names(paths)
    assert len(set(names)) == len(paths)
    assert all(len(name) < 252 and "/" not in name for name in names)


def test_frames_come_in_natural_order_from_folders_and_patterns(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "f", *(f"frame_{number}.png" for number in range(12)))
    wanted = [f"frame_{number}" for number in range(12)]
    for text in (str(folder), f"{folder}/frame_*.png"):
        with open_source(text) as source:
            assert [frame.name for frame in iter(source.read, None)] == wanted


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 10**6), unique=True), st.integers(0, 99))
def test_numbers_in_names_are_ordered_by_value(numbers: list[int], seed: int) -> None:
    names = [f"d{number % 7}/frame_{number}x.jpg" for number in numbers]
    random.Random(seed).shuffle(names)
    ordered = sorted(names, key=natural)
    keys = [(int(name[1 : name.index("/")]), int(name[9:-5])) for name in ordered]
    assert keys == sorted(keys)


def as_link(file: Path) -> str:
    link = file.with_name(f"other{file.suffix}")
    link.symlink_to(file)
    return str(link)


def as_hard_link(file: Path) -> str:
    link = file.with_name(f"hard{file.suffix}")
    os.link(file, link)
    return str(link)


def as_relative(file: Path) -> str:
    return os.path.relpath(file)


@pytest.mark.parametrize("written", [str, as_link, as_hard_link, as_relative])
def test_a_video_is_never_written_over(written: Callable[[Path], str], tmp_path: Path) -> None:
    video = write_timed(tmp_path / "drive.mp4", [0, 100])
    with open_source(str(video)) as source, pytest.raises(SinkError, match="would write over"):
        check_outputs([source], ["none", written(video)])


def test_names_on_the_way_and_parts_of_a_recording_count_too(tmp_path: Path) -> None:
    for name, sink in (("o.partial.mp4", "o.mp4"), ("o-000000s.mp4", "o.mp4")):
        video = write_timed(tmp_path / name, [0, 100])
        with open_source(str(video)) as source, pytest.raises(SinkError, match="write over"):
            check_outputs([source], [str(tmp_path / sink)])


@pytest.mark.parametrize("text", ["{0}", "masks:{0}", "masks-index:{0}", "masks-index:{0}/../f"])
def test_a_folder_of_frames_is_never_a_sink(text: str, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "f", "0000.png", "0001.png")
    for source_text in (str(folder), f"{folder}/*.png", f"{folder}/0000.png"):
        with (
            open_source(source_text) as source,
            pytest.raises(SinkError, match="would write over"),
        ):
            check_outputs([source], [text.format(folder)])


def test_the_source_of_one_camera_is_not_the_sink_of_another(tmp_path: Path) -> None:
    videos = [write_timed(tmp_path / name, [0, 100]) for name in ("a.mp4", "out-1.mp4")]
    sources = [open_source(str(video)) for video in videos]
    with pytest.raises(SinkError, match="out-1"):
        check_outputs(sources, [str(tmp_path / "out.mp4")])
    check_outputs(sources, [str(tmp_path / "x.mp4"), f"masks:{tmp_path}", "http", "none"])
    for source in sources:
        source.close()


@pytest.mark.parametrize("text", ["masks-index:out/drive.mp4", "masks:a.jsonl", "masks:b.mkv"])
def test_the_prefix_of_a_sink_comes_first(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with open_sink(text) as sink:
        assert isinstance(sink, MaskSink)
        assert sink.output == Path(text.partition(":")[2])
    assert not list(tmp_path.glob("*:*"))


@pytest.mark.parametrize("text", ["mask:out", "maks-index:out/x", "overlay:out"])
def test_a_prefix_that_no_sink_has_is_refused(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SinkError, match="no known kind"):
        open_sink(text)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", [b"2024-05-01T10:30:00.mp4", b"caf\xe9.mp4", b"%d.mp4"])
def test_any_name_of_a_video_is_read(
    name: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_timed(tmp_path / "t.mp4", [0, 100, 200]).rename(os.fsdecode(name))
    with open_source(os.fsdecode(name)) as source:
        assert len(list(iter(source.read, None))) == 3
        source.name.encode()  # can be printed


def test_a_video_may_be_named_by_the_time_of_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with open_source("synthetic:64x64") as source, open_sink("T10:30.mp4") as sink:
        frame = source.read()
        assert frame is not None
        classes = np.zeros((64, 64), np.uint8)
        sink.write(Result(frame, classes, 0.0, overlay=frame.image))
    assert [path.name for path in tmp_path.iterdir()] == ["T10:30.mp4"]


@pytest.mark.parametrize("stem", [b"caf\xe9", b"l" * 246])
def test_any_name_of_a_picture_has_its_mask(stem: bytes, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "f", os.fsdecode(stem + b".png"))
    (name,) = masks_of(str(folder), tmp_path / "out")
    assert len(os.fsencode(name)) < 252
    assert (tmp_path / "out" / f"{name}.png").is_file()


def test_a_full_standard_output_is_one_line(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "pipeline", "models", "--json"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "standard output (No space left on device)" in ended.stderr


def test_a_name_that_runtimes_cannot_take_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", os.fsdecode(b"caf\xe9.xml")]) == 1
    assert "is no UTF-8" in capsys.readouterr().err
