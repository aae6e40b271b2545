"""Videos are delivered with their own times, in the form in which players show them."""

from __future__ import annotations

import csv
import json
import logging
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from timed_videos import times, trimmed, with_matrix, write_timed

from calibration.scenes.mp4 import read_video_track
from calibration.scenes.video import VideoFrames
from pipeline.stream.frame import Frame, Result
from pipeline.stream.sinks import SinkOptions, open_sink
from pipeline.stream.sources import Source, SourceOptions, open_source

PHONE = [0, 33, 67, 100, 133, 167, 667, 1167, 1667, 2167, 2667, 3167]


def all_of(source: Source) -> list[Frame]:
    with source:
        return list(iter(source.read, None))


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    st.lists(st.integers(8, 3000), min_size=1, max_size=15),
    st.sampled_from([".mp4", ".mkv", ".mov"]),
    st.sampled_from([0, 0, 1500]),
)
def test_frames_have_the_times_that_the_container_gives(
    gaps: list[int], suffix: str, start: int
) -> None:
    moments = [start + int(moment) for moment in np.cumsum([0, *gaps])]
    with tempfile.TemporaryDirectory() as folder:
        path = write_timed(Path(folder) / f"v{suffix}", moments)
        source = open_source(str(path))
        frames = all_of(source)
        assert not source.problems
        wanted = times(path)
    assert len(frames) == len(moments)
    assert [frame.seconds for frame in frames] == pytest.approx(wanted, abs=0.002)
    assert wanted[-1] == pytest.approx(sum(gaps) / 1e3, abs=0.002)


def test_sinks_keep_the_frames_own_times(tmp_path: Path) -> None:
    path = write_timed(tmp_path / "phone.mp4", PHONE)
    source = open_source(str(path))
    options = SinkOptions(source="phone", fps=source.fps)
    names = ("out.mp4", "s.jsonl", "masks:m")
    sinks = [open_sink(name.replace(":", f":{tmp_path}/") if ":" in name else
                       str(tmp_path / name), options) for name in names]  # fmt: skip
    for frame in all_of(source):
        classes = np.zeros(frame.image.shape[:2], np.uint8)
        shares = np.full(len(options.classes), 1 / len(options.classes))
        for sink in sinks:
            sink.write(Result(frame, classes, frame.captured, shares, frame.image))
    for sink in sinks:
        sink.close()
    wanted = [moment / 1e3 for moment in PHONE]
    assert times(tmp_path / "out.mp4") == pytest.approx(wanted, abs=0.002)
    lines = (tmp_path / "s.jsonl").read_text().splitlines()[1:]
    assert [json.loads(line)["seconds"] for line in lines] == pytest.approx(wanted, abs=0.001)
    with (tmp_path / "m" / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["seconds"]) for row in rows] == pytest.approx(wanted, abs=0.001)


def test_real_time_is_the_frames_own(tmp_path: Path) -> None:
    path = write_timed(tmp_path / "v.mkv", [0, 20, 40, 340])
    frames = all_of(open_source(str(path), SourceOptions(realtime=True)))
    assert frames[-1].captured - frames[-2].captured > 0.25  # three frames at 30 a second: 0.03


def test_a_start_is_a_moment_of_the_video_and_no_number_of_frames(tmp_path: Path) -> None:
    path = write_timed(tmp_path / "phone.mp4", PHONE)
    source = open_source(str(path), SourceOptions(start=1.167))
    assert source.promised == 5
    frames = all_of(source)
    assert [frame.name for frame in frames] == [f"{number:06d}" for number in range(7, 12)]
    assert [frame.index for frame in frames] == list(range(5))


def test_a_stream_without_times_says_which_rate_was_assumed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "v.h264"
    with av.open(str(path), "w", format="h264") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for grey in range(0, 60, 10):
            image = np.full((48, 64, 3), grey, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode(None))
    with caplog.at_level(logging.WARNING):
        frames = all_of(open_source(str(path)))
    assert len(frames) == 6
    assert all(frame.seconds is None for frame in frames)
    assert "25 frames per second were assumed" in caplog.text


@pytest.mark.parametrize("seconds", [0.4, 1.5, 2.3])
@pytest.mark.parametrize("b_frames", ["0", "2"])
def test_what_an_edit_list_hides_is_not_missed(
    seconds: float, b_frames: str, tmp_path: Path
) -> None:
    options = {"g": "10", "bf": b_frames, "sc_threshold": "0", "preset": "veryfast"}
    whole = write_timed(tmp_path / "whole.mp4", range(0, 3000, 100), options=options)
    cut = trimmed(tmp_path / "cut.mp4", whole, seconds)
    track = read_video_track(cut)
    assert track is not None
    source = open_source(str(cut))
    frames = all_of(source)
    assert source.problems == []
    assert source.promised == track.shown == len(frames) == len(times(cut))
    assert track.shown < track.samples


def test_frames_that_are_lost_of_a_trimmed_file_are_still_missed(tmp_path: Path) -> None:
    options = {"g": "10", "bf": "0", "preset": "veryfast"}
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3)).astype(np.uint8)
    whole = write_timed(tmp_path / "w.mp4", range(0, 3000, 100), noise, options=options)
    cut = trimmed(tmp_path / "cut.mp4", whole, 0.5)
    data = bytearray(cut.read_bytes())
    begin = data.find(b"mdat")
    end = data.find(b"moov")
    place = begin + (end - begin) // 2
    data[place : end - 8] = bytes(end - 8 - place)
    cut.write_bytes(data)
    source = open_source(str(cut))
    assert len(all_of(source)) < 25
    assert "container promises" in source.problems[0]


@pytest.mark.parametrize("aspect", [Fraction(2), Fraction(64, 45), Fraction(8, 9), Fraction(1)])
def test_pixels_that_are_not_square_are_made_so(aspect: Fraction, tmp_path: Path) -> None:
    path = write_timed(tmp_path / "v.mp4", [0, 100], aspect=aspect)
    height, width = all_of(open_source(str(path)))[0].image.shape[:2]
    assert width / height == pytest.approx(64 / 48 * float(aspect), rel=0.02)
    assert width >= 64
    assert height >= 48
    calibrated = next(iter(VideoFrames(path, (0,))))
    assert calibrated.shape[:2] == (height, width)


#: Matrix -> its effect on the picture (ISO/IEC 14496-12: x' = a x + c y, y' = b x + d y).
TURNS = {
    (1, 0, 0, 1): lambda x: x,
    (-1, 0, 0, 1): lambda x: x[:, ::-1],
    (1, 0, 0, -1): lambda x: x[::-1],
    (-1, 0, 0, -1): lambda x: x[::-1, ::-1],
    (0, 1, 1, 0): lambda x: x.transpose(1, 0, 2),
    (0, -1, -1, 0): lambda x: x[::-1, ::-1].transpose(1, 0, 2),
    (0, 1, -1, 0): lambda x: np.rot90(x, -1),
    (0, -1, 1, 0): lambda x: np.rot90(x),
}


@pytest.mark.parametrize("matrix", TURNS)
@pytest.mark.parametrize("aspect", [Fraction(1), Fraction(2)])
def test_turned_and_mirrored_pictures_are_shown_right(
    matrix: tuple[int, int, int, int], aspect: Fraction, tmp_path: Path
) -> None:
    image = np.zeros((48, 64, 3), np.uint8)
    image[:24, :32] = 220
    image[:24, 32:] = 120
    path = with_matrix(write_timed(tmp_path / "v.mp4", [0, 100], image, aspect), *matrix)
    wide = cv2.resize(image, (64 * int(aspect), 48))
    wanted = np.ascontiguousarray(TURNS[matrix](wide))
    found = all_of(open_source(str(path)))[0].image
    assert found.shape == wanted.shape
    assert np.abs(found.astype(int) - wanted).mean() < 6


def test_pictures_of_several_sizes_keep_their_form_in_a_video(tmp_path: Path) -> None:
    sink = open_sink(str(tmp_path / "out.mp4"), SinkOptions(fps=10.0))
    for index, (height, width) in enumerate(((48, 96), (96, 48), (24, 48))):
        image = np.full((height, width, 3), 200, np.uint8)
        frame = Frame(image, index, 0.0, str(index))
        classes = np.zeros((height, width), np.uint8)
        sink.write(Result(frame, classes, 0.0, overlay=image))
    sink.close()
    with av.open(str(tmp_path / "out.mp4")) as container:
        shown = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    bright = [int((image > 128).sum()) for image in shown]
    assert [image.shape for image in shown] == [(48, 96)] * 3
    assert bright == pytest.approx([48 * 96, 48 * 24, 48 * 96], rel=0.06)
