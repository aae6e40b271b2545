"""Cameras: lost and found again, stalled, or with corrupted frames."""

from __future__ import annotations

import threading
import time
from itertools import cycle, pairwise

import cv2
import pytest
from camera_double import GARBAGE, CameraDouble, number_of
from source_reader import Reader, read, read_to_the_end, wait_for

from pipeline.errors import SourceError
from pipeline.stream.sources import SourceOptions, open_source
from pipeline.stream.sources.reconnect import LiveSource, pause


def assert_whole(reader: Reader) -> None:
    """Indices continue, and no camera frame was delivered twice or out of order."""
    assert [frame.index for frame in reader.frames] == list(range(len(reader.frames)))
    numbers = [number_of(frame.image) for frame in reader.frames]
    assert numbers == sorted(set(numbers))
    moments = [frame.captured for frame in reader.frames]
    assert moments == sorted(moments)


def test_a_camera_is_live_and_states_its_rate(camera: CameraDouble) -> None:
    with open_source("0") as source:
        assert (source.live, source.fps, source.promised) == (True, 100.0, None)
        assert [read(source).index for _ in range(3)] == [0, 1, 2]
        assert source.health().state == "live"
    assert source.health().state == "ended"
    assert (camera.opened, camera.released) == (1, 1)


def test_a_camera_that_vanishes_and_returns_goes_on_where_it_was(camera: CameraDouble) -> None:
    with open_source("0") as source:
        reader = Reader(source)
        for _ in range(3):
            reader.wait_for_frames(3)
            camera.there = False
            wait_for(source, "lost")
            time.sleep(0.3)
            before = source.health()
            camera.there = True
            reader.wait_for_frames(3)
            assert source.health().lost_seconds >= before.lost_seconds >= 0.3
    reader.join(2)
    assert_whole(reader)
    health = source.health()
    assert (health.gaps, health.reconnects) == (3, 3)
    assert camera.opened == camera.released  # every device was released


def test_the_pauses_between_attempts_grow(camera: CameraDouble) -> None:
    with open_source("0") as source:
        Reader(source).wait_for_frames(1)
        camera.there = False
        wait_for(source, "lost")
        lost = time.monotonic()
        camera.attempts.clear()
        while len(camera.attempts) < 4:
            time.sleep(0.01)
    moments = [lost, *camera.attempts]
    pauses = [after - before for before, after in pairwise(moments)]
    assert pauses[0] < pauses[3]


def test_pauses_grow_from_a_tenth_to_half_a_second_with_jitter() -> None:
    assert 0.1 <= min(pause(0) for _ in range(50)) <= max(pause(0) for _ in range(50)) <= 0.125
    assert 0.2 <= pause(1) <= 0.25
    assert all(0.4 <= pause(attempt) <= 0.5 for attempt in (2, 3, 10, 10**6))
    assert len({pause(5) for _ in range(10)}) > 1


def test_a_camera_that_returns_with_another_size_delivers_it(
    camera: CameraDouble, caplog: pytest.LogCaptureFixture
) -> None:
    with open_source("0") as source:
        assert read(source).image.shape == (48, 64, 3)
        camera.there = False
        threading.Timer(0.3, setattr, (camera, "there", True)).start()
        camera.size = (32, 24)
        while (frame := read(source)).image.shape != (24, 32, 3):
            pass
        assert number_of(frame.image) > 0
    assert "is back after" in caplog.text
    assert "32x24" in caplog.text


def test_a_camera_that_stalls_is_lost_and_its_driver_left_behind(
    camera: CameraDouble, caplog: pytest.LogCaptureFixture
) -> None:
    with open_source("0") as source:
        reader = Reader(source)
        reader.wait_for_frames(2)
        camera.stalled = True
        wait_for(source, "lost")
        assert time.monotonic() - reader.frames[-1].captured > 1
        while "no longer waiting" not in caplog.text:
            time.sleep(0.01)
        camera.stalled = False
        reader.wait_for_frames(3)
    reader.join(2)
    assert_whole(reader)
    assert (source.health().gaps, source.health().reconnects) == (1, 1)


def test_closing_does_not_wait_for_a_read_that_hangs(
    camera: CameraDouble, caplog: pytest.LogCaptureFixture
) -> None:
    source = open_source("0")
    read(source)
    camera.stalled = True
    reader = Reader(source)
    time.sleep(0.2)
    source.close()
    reader.join(1)
    assert not reader.is_alive()
    assert source.health().state == "ended"
    assert "camera 0: no longer waiting for its driver" in caplog.text
    camera.stalled = False
    while camera.released < 1:  # it releases the device when it can
        time.sleep(0.01)


def test_closing_ends_a_read_that_waits_for_a_lost_camera(camera: CameraDouble) -> None:
    source = open_source("0")
    reader = Reader(source)
    reader.wait_for_frames(1)
    camera.there = False
    wait_for(source, "lost")
    source.close()
    reader.join(1)
    assert not reader.is_alive()
    assert reader.error is None


def test_a_few_connections_at_most_hang_in_a_driver(camera: CameraDouble) -> None:
    with LiveSource("camera", camera.open, "check it", opening=0.1) as source:
        reader = Reader(source)
        reader.wait_for_frames(1)
        camera.stalled = True
        wait_for(source, "lost")
        time.sleep(3)
        assert camera.opened <= 4
        camera.stalled = False
        reader.wait_for_frames(1)


def test_garbage_is_skipped_and_counted(camera: CameraDouble) -> None:
    with open_source("0") as source:
        read(source)
        camera.garbage = iter(GARBAGE)
        frames = [read(source)]
        while source.skipped < len(GARBAGE):
            frames.append(read(source))
        frames.append(read(source))
        assert source.health().gaps == 0
    assert all(frame.image.shape == (48, 64, 3) for frame in frames)
    assert source.skipped == len(GARBAGE)


def test_a_camera_that_delivers_only_garbage_is_lost(camera: CameraDouble) -> None:
    with open_source("0") as source:
        reader = Reader(source)
        reader.wait_for_frames(1)
        camera.garbage = cycle(GARBAGE)
        wait_for(source, "lost")
        camera.garbage = iter(())
        reader.wait_for_frames(1)
    assert source.skipped > 50
    assert source.health().gaps == 1


def test_a_driver_that_raises_is_a_lost_camera(camera: CameraDouble) -> None:
    def explode() -> None:
        camera.on_grab = lambda: None
        raise cv2.error("the driver broke")

    with open_source("0") as source:
        reader = Reader(source)
        reader.wait_for_frames(1)
        camera.on_grab = explode
        wait_for(source, "lost")
        reader.wait_for_frames(1)
    assert source.health().reconnects == 1


@pytest.mark.parametrize(
    ("retries", "expected"),
    [
        (0, r"camera 0 stopped after \d+ frames; check its cable$"),
        (2, r"camera 0 stopped after \d+ frames and did not return in 2 attempts; check"),
    ],
)
def test_retries_end_a_camera_that_does_not_return(
    camera: CameraDouble, retries: int, expected: str
) -> None:
    with open_source("0", SourceOptions(retries=retries)) as source:
        read(source)
        camera.there = False
        with pytest.raises(SourceError, match=expected):
            read_to_the_end(source)
        assert len(camera.attempts) == 1 + retries
        assert source.health().state == "ended"
        assert source.health().gaps == 1
        assert source.read() is None


def test_a_camera_that_is_not_there_is_refused_at_once(camera: CameraDouble) -> None:
    camera.there = False
    with pytest.raises(SourceError, match="camera 0 gives no picture; this machine has"):
        open_source("0")
    assert len(camera.attempts) == 1


def test_a_camera_that_never_comes_says_so_after_its_retries(camera: CameraDouble) -> None:
    camera.there = False
    with (
        open_source("0", SourceOptions(retries=2)) as source,
        pytest.raises(SourceError, match=r"camera 0 gives no picture.*; tried 3 times$"),
    ):
        source.read()


def test_with_retries_a_camera_may_come_later(camera: CameraDouble) -> None:
    camera.there = False
    with open_source("0", SourceOptions(retries=100)) as source:
        assert (source.health().state, source.health().gaps) == ("lost", 1)
        threading.Timer(0.3, setattr, (camera, "there", True)).start()
        assert read(source).index == 0
        assert source.health().reconnects == 1
        assert source.fps == 100


def test_a_slow_reader_gets_the_newest_frame_and_the_others_are_counted(
    camera: CameraDouble,
) -> None:
    with open_source("0") as source:
        first = number_of(read(source).image)
        time.sleep(0.2)
        slept = time.monotonic()
        time.sleep(0.1)
        last = read(source)
        assert last.captured > slept
        assert last.index == 1
        assert source.overtaken == number_of(last.image) - first - 1 > 5


def test_a_frame_is_stamped_when_it_is_grabbed(camera: CameraDouble) -> None:
    grabbed: list[float] = []
    camera.on_grab = lambda: grabbed.append(time.monotonic())
    with open_source("0") as source:
        frame = read(source)
    number = number_of(frame.image)
    assert grabbed[number] <= frame.captured
    if len(grabbed) > number + 1:
        assert frame.captured <= grabbed[number + 1]
