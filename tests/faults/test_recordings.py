"""Long recordings under a clock that jumps and on a disk that fills up."""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path

import pytest
from sink_results import result
from small_disk import SmallDisk
from videos import read_video

from pipeline.errors import SinkError
from pipeline.stream.frame import Result
from pipeline.stream.sinks import Sink, SinkOptions, open_sink

LIVE = SinkOptions(fps=25.0, live=True, segment=1.0)


class Clock(datetime.datetime):
    """The time of day, set by a test."""

    moment = datetime.datetime(2026, 11, 30, 12, tzinfo=datetime.timezone.utc)

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Clock:  # type: ignore[override]
        assert tz is datetime.timezone.utc
        return cls.fromtimestamp(cls.moment.timestamp(), tz)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> type[Clock]:
    monkeypatch.setattr("pipeline.stream.sinks.segments.datetime", Clock)
    return Clock


def frames(count: int, first: int = 0) -> list[Result]:
    """Ten frames per second of a camera."""
    return [result(first + i, captured=50 + (first + i) / 10) for i in range(count)]


def write(sink: Sink, results: list[Result]) -> None:
    for one in results:
        sink.write(one)


def record(path: Path, results: list[Result], options: SinkOptions = LIVE) -> None:
    with open_sink(str(path), options) as sink:
        write(sink, results)


def numbers(folder: Path) -> list[int]:
    return sorted(int(path.name.split("-")[1]) for path in folder.glob("drive-*Z.*mp4"))


def test_a_clock_that_is_set_back_has_the_oldest_removed_all_the_same(
    tmp_path: Path, clock: type[Clock]
) -> None:
    record(tmp_path / "drive.mp4", frames(60))
    size = max(path.stat().st_size for path in tmp_path.iterdir())
    clock.moment -= datetime.timedelta(days=400)
    options = SinkOptions(fps=25.0, live=True, segment=1.0, keep=5 * size)
    record(tmp_path / "drive.mp4", frames(30), options)
    kept = numbers(tmp_path)
    assert kept == list(range(kept[0], 10)), "those of the wrong time are the newest"
    assert kept[0] > 1
    [newest] = tmp_path.glob("drive-000009-20251026T*.mp4")
    assert len(read_video(newest)[0]) == 10


def test_the_same_time_again_replaces_nothing(tmp_path: Path, clock: type[Clock]) -> None:
    for _ in range(3):  # the clock is stopped: every start is at the same moment
        record(tmp_path / "drive.mp4", frames(20))
    videos = sorted(tmp_path.iterdir())
    assert len(videos) == 6
    assert [len(read_video(video)[0]) for video in videos] == [10] * 6
    assert numbers(tmp_path) == [1, 2, 3, 4, 5, 6]


def test_recordings_of_before_the_numbers_are_the_oldest(tmp_path: Path) -> None:
    record(tmp_path / "drive.mp4", frames(10))
    [video] = tmp_path.iterdir()
    old = (
        "drive-20301122T231500Z.mp4",
        "drive-000600s-7.mp4",
        "drive-20990101T000000Z.partial.mp4",
    )
    for name in old:
        (tmp_path / name).write_bytes(video.read_bytes())
    keep = SinkOptions(fps=25.0, live=True, segment=1.0, keep=2 * video.stat().st_size)
    record(tmp_path / "drive.mp4", frames(10), keep)
    assert numbers(tmp_path) == [1, 2]


def test_what_a_killed_run_left_is_counted_and_not_written_over(tmp_path: Path) -> None:
    record(tmp_path / "drive.mp4", frames(10))
    [video] = tmp_path.iterdir()
    left = tmp_path / "drive-000008-20261130T120000Z.partial-2.mp4"
    video.rename(left)
    before = left.read_bytes()
    record(tmp_path / "drive.mp4", frames(10))
    assert numbers(tmp_path) == [8, 9]
    assert left.read_bytes() == before


def test_a_run_that_was_killed_before_its_first_picture_leaves_no_husk(tmp_path: Path) -> None:
    husk = tmp_path / "drive-000003-20261130T120000Z.partial.mp4"
    husk.write_bytes(bytes(88))
    own = tmp_path / "drive-000003-holiday.partial.mp4"
    own.write_bytes(bytes(88))
    lock = tmp_path / ".drive-000003-20261130T120000Z.mp4.lock"
    lock.touch()
    record(tmp_path / "drive.mp4", frames(10))
    assert not husk.exists()
    assert not lock.exists()
    assert own.exists()


def test_a_recording_goes_on_when_a_full_disk_has_room_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    disk = SmallDisk(tmp_path, 1 << 30, monkeypatch)
    with open_sink(str(tmp_path / "drive.mp4"), LIVE) as sink:
        write(sink, frames(25))
        disk.size = disk.used
        write(sink, frames(30, first=25))
        assert 15 <= sink.lost <= 30
        disk.size = 1 << 30
        write(sink, frames(35, first=55))
    assert sink.written + sink.lost == 90
    [problem] = sink.problems
    assert "frames of the recording were lost" in problem
    assert "No space left on device" in problem
    assert [record.getMessage() for record in caplog.records][-1].endswith("recording goes on")
    assert len(caplog.records) == 2, "one line when it stops, one when it goes on"
    shown = [len(read_video(video)[0]) for video in sorted(tmp_path.iterdir())]
    # Frames on the disk before, and frames after it had room; nothing of the second in between.
    assert shown[:2] == [10, 10]
    assert all(shown)
    assert sum(shown) >= 20 + 25


def test_on_a_full_disk_the_oldest_of_a_recording_make_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = SmallDisk(tmp_path, 1 << 30, monkeypatch)
    own = tmp_path / "of the user"
    own.write_bytes(b"")
    options = SinkOptions(fps=25.0, live=True, segment=1.0, keep=1 << 30)
    with open_sink(str(tmp_path / "drive.mp4"), options) as sink:
        write(sink, frames(60))
        disk.size = disk.used  # a careless script takes the rest
        write(sink, frames(60, first=60))
    kept = numbers(tmp_path)
    assert kept == list(range(kept[0], kept[-1] + 1))
    assert kept[0] > 1
    assert sink.lost == 0
    assert own.exists()
    assert all(read_video(video)[0] for video in tmp_path.glob("*.mp4"))


def test_a_mistake_of_ours_is_no_full_disk(tmp_path: Path) -> None:
    sink = open_sink(str(tmp_path / "drive.mp4"), LIVE)
    with pytest.raises(SinkError, match="without an overlay"):
        sink.write(replace(result(0), overlay=None))
    sink.close()
