"""Where results are written, and what is never overwritten."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from sink_results import fill, result
from small_disk import disk_full_after
from videos import read_video

from models.classes import CAMVID
from pipeline.errors import OutputError, SinkError
from pipeline.stream.frame import Result
from pipeline.stream.sinks import SinkOptions, open_sink, open_sinks
from pipeline.stream.sinks.encoder_opencv import OpenCvEncoder
from pipeline.stream.sinks.video import VideoSink

ROOT = Path(__file__).resolve().parents[3]
OUTPUTS = ["drive.mp4", "drive.mkv", "drive.jsonl", "drive.json"]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("size", [(96, 64), (97, 65)])
def test_a_video_holds_every_frame_at_even_size(
    tmp_path: Path, suffix: str, size: tuple[int, int]
) -> None:
    path = tmp_path / f"drive{suffix}"
    fill(str(path), [result(index, size) for index in range(30)], SinkOptions(fps=25.0))
    frames, moments = read_video(path)
    assert len(frames) == 30
    width, height = size
    assert frames[0].shape == (height + height % 2, width + width % 2, 3)
    assert np.diff(moments) == pytest.approx(0.04, abs=0.0011)
    assert not list(tmp_path.glob("*.partial*"))


def test_a_finished_mp4_is_a_plain_h264_file(tmp_path: Path) -> None:
    path = tmp_path / "drive.mp4"
    fill(str(path), [result(index) for index in range(40)], SinkOptions(fps=25.0))
    capture = cv2.VideoCapture(str(path))
    fourcc = int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little")
    assert fourcc == b"h264"
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 40
    assert capture.get(cv2.CAP_PROP_FPS) == 25.0


def test_colours_survive_the_codec(tmp_path: Path) -> None:
    one = result(0)
    bgr = (40, 60, 160)
    flat = np.full((64, 96, 3), bgr, np.uint8)
    fill(str(tmp_path / "flat.mp4"), [Result(one.frame, one.classes, 0.0, None, flat)])
    frames, _ = read_video(tmp_path / "flat.mp4")
    np.testing.assert_allclose(frames[0].mean(axis=(0, 1)), bgr, atol=4)


def test_a_live_video_keeps_the_moments_of_capture(tmp_path: Path) -> None:
    moments = [50.0, 50.1, 50.5, 50.6]
    results = [result(index, captured=moment) for index, moment in enumerate(moments)]
    fill(str(tmp_path / "live.mp4"), results, SinkOptions(fps=25.0, live=True))
    _, played = read_video(tmp_path / "live.mp4")
    assert played == pytest.approx([0.0, 0.1, 0.5, 0.6], abs=0.002)


def test_frames_of_another_size_are_fitted(tmp_path: Path) -> None:
    path = tmp_path / "drive.mp4"
    fill(str(path), [result(0), result(1, (128, 72)), result(2)])
    frames, _ = read_video(path)
    assert [frame.shape for frame in frames] == [(64, 96, 3)] * 3


def test_a_killed_recording_plays(tmp_path: Path) -> None:
    code = (
        "import sys, time; sys.path[:0] = sys.argv[1:3]\n"
        "from sink_results import result\n"
        "from pipeline.stream.sinks import SinkOptions, open_sink\n"
        "sinks = [open_sink(path, SinkOptions(fps=25.0)) for path in sys.argv[3:]]\n"
        "for index in range(120):\n"
        "    for sink in sinks: sink.write(result(index))\n"
        "print('written', flush=True); time.sleep(60)\n"
    )
    tests = Path(__file__).parents[2]
    outputs = [str(tmp_path / "a.mp4"), str(tmp_path / "a.mkv")]
    arguments = [sys.executable, "-c", code, str(tests / "support"), str(tests.parent), *outputs]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        process.kill()
    for name in ("a.partial.mp4", "a.partial.mkv"):
        frames, _ = read_video(tmp_path / name)
        assert len(frames) >= 50, name


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_without_pyav_opencv_writes_a_video_that_is_ours(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.stream.sinks.video._encoder_kind", lambda: OpenCvEncoder)
    path = tmp_path / f"drive{suffix}"
    for count in (5, 8):
        fill(str(path), [result(index) for index in range(count)])
        assert len(read_video(path)[0]) == count


def test_a_program_without_pyav_records_segments_examines_and_says_what_it_cannot(
    tmp_path: Path,
) -> None:
    """In a separate process, where PyAV has not been imported before."""
    code = (
        "import sys\n"
        "sys.modules['av'] = None\n"
        "from pipeline.errors import RuntimeMissingError\n"
        "from pipeline.runtimes.null import NullSession\n"
        "from pipeline.stream import StreamOptions, run\n"
        "from pipeline.stream.sinks import SinkOptions, open_sink, open_sinks\n"
        "from pipeline.stream.sources import open_source\n"
        "from pipeline.stream.sources.probe import hardware_decoder\n"
        "assert 'PyAV is not installed' in hardware_decoder()\n"
        "sinks = open_sinks(['one.mp4', 'two.mkv'], SinkOptions(fps=10.0))\n"
        "sinks.append(open_sink('part.mp4', SinkOptions(fps=10.0, segment=0.3)))\n"
        "report = run(NullSession(), open_source('synthetic:64x64'), sinks, "
        "StreamOptions(frames=6))\n"
        "assert report.frames == 6 and not report.problems, report\n"
        "try:\n"
        "    open_sink('udp://127.0.0.1:9', SinkOptions())\n"
        "except RuntimeMissingError as error:\n"
        "    print(error)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "needs PyAV, which is not installed; run: pip install av" in done.stdout
    assert len(read_video(tmp_path / "one.mp4")[0]) == len(read_video(tmp_path / "two.mkv")[0]) == 6
    assert sum(len(read_video(part)[0]) for part in tmp_path.glob("part-*.mp4")) == 6


@pytest.mark.parametrize("prefix", ["", "masks:"])
def test_colour_masks_have_the_palette_and_the_size_of_the_frame(
    tmp_path: Path, prefix: str
) -> None:
    fill(f"{prefix}{tmp_path / 'masks'}", [result(24)])
    mask = cv2.imread(str(tmp_path / "masks" / "000024.png"), cv2.IMREAD_UNCHANGED)
    assert mask is not None
    assert mask.shape == (64, 96, 3)
    assert tuple(mask[0, 0][::-1].tolist()) == CAMVID.palette[3]
    assert tuple(mask[0, 95][::-1].tolist()) == CAMVID.palette[0]


def test_index_masks_hold_class_indices(tmp_path: Path) -> None:
    fill(f"masks-index:{tmp_path / 'masks'}", [result(24)])
    mask = cv2.imread(str(tmp_path / "masks" / "000024.png"), cv2.IMREAD_UNCHANGED)
    assert mask is not None
    assert (mask.shape, mask.dtype) == ((64, 96), np.uint8)
    np.testing.assert_array_equal(mask, result(24).classes_at_frame_size())


def test_the_manifest_lists_masks_with_their_times(tmp_path: Path) -> None:
    fill(str(tmp_path), [result(0), result(5)], SinkOptions(fps=10.0))
    with (tmp_path / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows == [
        {"file": "000000.png", "index": "0", "seconds": "0.0000"},
        {"file": "000005.png", "index": "5", "seconds": "0.5000"},
    ]


def test_a_second_run_leaves_no_mask_of_the_first_and_no_other_file_out(tmp_path: Path) -> None:
    folder = tmp_path / "masks"
    fill(str(folder), [result(index) for index in range(5)])
    (folder / "notes.txt").write_text("mine")
    fill(str(folder), [result(index) for index in range(2)])
    assert sorted(path.name for path in folder.glob("*.png")) == ["000000.png", "000001.png"]
    assert (folder / "notes.txt").read_text() == "mine"


def test_lines_of_statistics_have_shares_and_times(tmp_path: Path) -> None:
    path = tmp_path / "drive.jsonl"
    fill(str(path), [result(0), result(24)], SinkOptions(source="a.mp4", fps=12.0))
    header, first, second = map(json.loads, path.read_text().splitlines())
    assert header["source"] == "a.mp4"
    assert header["classes"] == list(CAMVID.names)
    assert first["shares"]["Sky"] == 1.0
    assert second["shares"]["Road"] == pytest.approx(0.5)
    assert second["seconds"] == pytest.approx(2.0)
    assert second["result_age_ms"] == pytest.approx(20, abs=0.01)


def test_statistics_as_one_object_are_valid_json(tmp_path: Path) -> None:
    path = tmp_path / "drive.json"
    fill(str(path), [result(0), result(1)])
    content = json.loads(path.read_text())
    assert content["format"] == "roadseg-statistics"
    assert [frame["index"] for frame in content["frames"]] == [0, 1]


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_second_run_replaces_its_own_file(tmp_path: Path, name: str) -> None:
    fill(str(tmp_path / name), [result(index) for index in range(3)])
    before = (tmp_path / name).read_bytes()
    fill(str(tmp_path / name), [result(index) for index in range(9)])
    assert (tmp_path / name).read_bytes() != before


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_file_that_is_not_ours_needs_force(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("of great value")
    with pytest.raises(OutputError, match="--force"):
        open_sink(str(path))
    assert path.read_text() == "of great value"
    fill(str(path), [result(0)], SinkOptions(force=True))
    assert path.read_bytes()[:14] != b"of great value"


def test_a_directory_that_is_not_ours_needs_force(tmp_path: Path) -> None:
    (tmp_path / "holiday.png").write_text("of great value")
    with pytest.raises(OutputError, match="--force"):
        open_sink(str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.png"]
    fill(str(tmp_path), [result(0)], SinkOptions(force=True))
    assert (tmp_path / "holiday.png").read_text() == "of great value"


@pytest.mark.parametrize("name", OUTPUTS)
def test_without_a_result_nothing_is_left_and_nothing_replaced(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    fill(str(path), [])
    assert list(tmp_path.iterdir()) == []
    fill(str(path), [result(0)])
    before = path.read_bytes()
    fill(str(path), [])
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_full_disk_is_one_line_and_leaves_what_was_there(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    fill(str(path), [result(0)])
    before = path.read_bytes()
    results = [result(index, (320, 240)) for index in range(300 if "json" in name else 20)]
    with disk_full_after(20_000), pytest.raises(SinkError, match=rf"{name} cannot be written"):
        fill(str(path), results)
    assert path.read_bytes() == before
    others = {path.with_name(f"{path.stem}.partial{path.suffix}"), path}
    assert set(tmp_path.iterdir()) <= others


def test_a_full_disk_leaves_only_whole_masks(tmp_path: Path) -> None:
    with disk_full_after(150), pytest.raises(SinkError, match="cannot be written"):
        fill(str(tmp_path), [result(index) for index in range(9)])
    for path in tmp_path.glob("*.png*"):
        assert cv2.imread(str(path)) is not None


@pytest.mark.parametrize("name", ["under/drive.mp4", "under/drive.jsonl", "under/masks"])
def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "under").write_text("a file")
    with pytest.raises(OutputError, match="cannot be written"):
        open_sink(str(tmp_path / name))


def test_a_directory_with_the_name_of_a_video_is_refused(tmp_path: Path) -> None:
    (tmp_path / "drive.mp4").mkdir()
    with pytest.raises(OutputError, match="is a directory"):
        open_sink(str(tmp_path / "drive.mp4"))


@pytest.mark.parametrize("text", ["drive.avi", ""])
def test_what_is_no_sink_is_refused_with_what_is(text: str) -> None:
    with pytest.raises(SinkError, match=r"NAME\.mp4"):
        open_sink(text)


def test_two_sinks_on_one_output_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "drive.mp4"
    with pytest.raises(OutputError, match="each its own name"):
        open_sinks([str(path), "none", str(path)])
    assert list(tmp_path.iterdir()) == []


def test_a_video_without_overlay_is_refused(tmp_path: Path) -> None:
    one = result(0)
    with (
        VideoSink(tmp_path / "drive.mp4", SinkOptions()) as sink,
        pytest.raises(SinkError, match="without an overlay"),
    ):
        sink.write(Result(one.frame, one.classes, time.monotonic()))
