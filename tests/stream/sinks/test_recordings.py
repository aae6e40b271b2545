"""Long recordings: rotation, disk space, and the choice of the encoder."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest
from sink_results import result
from videos import read_video

from pipeline.stream.frame import Result
from pipeline.stream.sinks import SinkOptions, open_sink
from pipeline.stream.sinks.codecs import CODECS, Codec, best_codec, first_working


def record(path: Path, results: list[Result], options: SinkOptions) -> list[Path]:
    with open_sink(str(path), options) as sink:
        for one in results:
            sink.write(one)
    return sorted(path.parent.glob(f"{path.stem}-*{path.suffix}"))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_file_becomes_videos_by_position_and_loses_no_frame(tmp_path: Path, suffix: str) -> None:
    options = SinkOptions(fps=10.0, segment=2.0)
    videos = record(tmp_path / f"drive{suffix}", [result(i) for i in range(45)], options)
    positions = ["000001-000000s", "000002-000002s", "000003-000004s"]
    assert [video.stem for video in videos] == [f"drive-{position}" for position in positions]
    assert [len(read_video(video)[0]) for video in videos] == [20, 20, 5]


def test_a_second_run_goes_on_behind_the_videos_of_the_first(tmp_path: Path) -> None:
    options = SinkOptions(fps=10.0, segment=1.0)
    for _ in range(2):
        videos = record(tmp_path / "drive.mp4", [result(i) for i in range(25)], options)
    assert [len(read_video(video)[0]) for video in videos] == [10, 10, 5] * 2


def test_a_live_recording_is_named_by_the_time_of_day_even_within_one_second(
    tmp_path: Path,
) -> None:
    options = SinkOptions(fps=25.0, live=True, segment=0.2)
    results = [result(i, captured=50 + i / 25) for i in range(15)]
    before = datetime.now(timezone.utc).replace(microsecond=0)
    videos = record(tmp_path / "drive.mkv", results, options)
    assert sum(len(read_video(video)[0]) for video in videos) == 15
    assert len(videos) == 3
    for video in videos:
        stamp = video.stem.removeprefix("drive-")[7:]
        began = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
        assert before <= began <= datetime.now(timezone.utc)


def test_a_gap_of_a_live_source_starts_the_next_video_on_the_grid(tmp_path: Path) -> None:
    options = SinkOptions(fps=25.0, live=True, segment=1.0)
    moments = [0.0, 0.5, 3.7, 3.9, 4.1]
    results = [result(i, captured=50 + moment) for i, moment in enumerate(moments)]
    videos = record(tmp_path / "drive.mp4", results, options)
    assert sorted(len(read_video(video)[0]) for video in videos) == [1, 2, 2]


def test_the_oldest_videos_make_room_and_strangers_stay(tmp_path: Path) -> None:
    stranger = tmp_path / "drive-000000s-holiday.mp4"
    stranger.write_bytes(b"somebody's own" * 10000)
    results = [result(i) for i in range(60)]
    everything = record(tmp_path / "drive.mp4", results, SinkOptions(fps=10.0, segment=1.0))
    size = max(video.stat().st_size for video in everything if video != stranger)
    for video in everything:
        if video != stranger:
            video.unlink()
    keep = 3 * size
    options = SinkOptions(fps=10.0, segment=1.0, keep=keep)
    videos = [v for v in record(tmp_path / "drive.mp4", results, options) if v != stranger]
    assert [video.stem for video in videos][-1] == "drive-000006-000005s"
    assert 2 <= len(videos) <= 3
    assert sum(video.stat().st_size for video in videos) <= keep
    assert stranger.read_bytes() == b"somebody's own" * 10000


def test_recordings_of_other_cameras_in_the_folder_stay(tmp_path: Path) -> None:
    results = [result(i) for i in range(20)]
    others = record(tmp_path / "drive-1.mp4", results, SinkOptions(fps=10.0, segment=1.0))
    record(tmp_path / "drive.mp4", results, SinkOptions(fps=10.0, segment=1.0, keep=1))
    assert all(other.exists() for other in others)


def test_a_name_that_is_a_pattern_is_taken_as_it_is(tmp_path: Path) -> None:
    results = [result(i) for i in range(20)]
    options = SinkOptions(fps=10.0, segment=1.0, keep=1)
    with open_sink(str(tmp_path / "cam[1].mp4"), options) as sink:
        for one in results:
            sink.write(one)
    assert [path.name for path in tmp_path.iterdir()] == ["cam[1]-000002-000001s.mp4"]


def test_the_last_encoder_is_taken_where_no_other_works() -> None:
    absent, last = Codec("h264_nowhere", {}), CODECS[-1]
    assert first_working([absent, last]) is last


def test_the_first_encoder_that_gives_pictures_is_taken() -> None:
    absent, first, last = Codec("h264_nowhere", {}), Codec("mpeg4", {}), CODECS[-1]
    assert first_working([absent, first, last]) is first


def test_the_best_encoder_is_of_the_table() -> None:
    assert best_codec() in CODECS
