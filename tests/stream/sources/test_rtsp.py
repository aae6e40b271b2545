"""RTSP from GStreamer's server, killed and restarted, frozen, with road video and live pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from served import Arrivals, Served, median, outages
from source_reader import Reader, wait_for, wait_until

from calibration.scenes.synthetic import SyntheticDrive
from pipeline.stream.sources import open_source

SERVER = Path(__file__).parents[2] / "support" / "rtsp_server.py"


@pytest.fixture
def server(port: int, debian_python: str) -> Iterator[Served]:
    with Served([debian_python, str(SERVER), str(port)]) as served:
        yield served


@pytest.fixture
def debian_python(system_part) -> str:  # type: ignore[no-untyped-def]
    python = "/usr/bin/python3"
    system_part("GStreamer's RTSP server", [python, str(SERVER), "--check"])
    return python


def test_what_the_system_lacks_is_skipped_unless_it_is_required(
    system_part: Callable[[str, Sequence[str]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    system_part("true", ["true"])
    monkeypatch.delenv("ROADSEG_REQUIRE_SYSTEM", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"a server is not installed: run scripts/sys"):
        system_part("a server", ["false"])
    monkeypatch.setenv("ROADSEG_REQUIRE_SYSTEM", "1")
    with pytest.raises(pytest.fail.Exception, match="a server is not installed"):
        system_part("a server", ["no-such-program-anywhere"])


def write_drive(path: Path, size: tuple[int, int], seconds: int) -> None:
    """Write the synthetic drive as H.264, with a keyframe each second as cameras send them."""
    drive = SyntheticDrive(*size, seed=1, fps=25.0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "libx264", rate=25, options={"preset": "ultrafast", "g": "25"}
        )
        stream.width, stream.height = size
        for index in range(seconds * 25):
            picture = np.ascontiguousarray(drive.frame(index)[0])
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def test_a_live_server_killed_and_restarted_five_times_is_survived(
    server: Served, port: int
) -> None:
    server.start("live", "320", "240", "25")
    arrivals = Arrivals()
    with open_source(f"rtsp://127.0.0.1:{port}/road") as source:
        reader = Reader(source, arrivals.keep)
        reader.wait_for_frames(60)
        usual = max(arrivals.ages[40:])
        starts = [("live", "320", "240", "25")] * 5
        starts[2] = ("live", "640", "360", "25")
        returns = outages(reader, server, starts, lambda: arrivals.ages[-1] < usual + 0.1)
        health = source.health()
    assert reader.error is None
    assert (health.gaps, health.reconnects) == (5, 5)
    assert [frame.index for frame in reader.frames] == list(range(len(reader.frames)))
    assert arrivals.sizes.count((640, 360)) >= 10
    assert usual < 0.5  # nothing accumulates between the camera and us
    assert median(returns) < 2


def test_a_served_road_video_killed_and_restarted_five_times_is_survived(
    server: Served, port: int, road_data: Path, tmp_path: Path
) -> None:
    road = str(road_data / "videos" / "udacity_solidWhiteRight.mp4")
    drive = str(tmp_path / "drive.mp4")
    write_drive(Path(drive), (640, 360), seconds=4)
    server.start("file", road)
    arrivals = Arrivals()
    with open_source(f"rtsp://user:secret@127.0.0.1:{port}/road") as source:
        assert source.name == f"rtsp://127.0.0.1:{port}/road"
        reader = Reader(source, arrivals.keep)
        reader.wait_for_frames(20)
        starts = [("file", road)] * 2 + [("file", drive)] + [("file", road)] * 2
        returns = outages(reader, server, starts, lambda: True)
        health = source.health()
    assert reader.error is None
    assert (health.gaps, health.reconnects) == (5, 5)
    assert set(arrivals.sizes) == {(960, 540), (640, 360)}
    assert median(returns) < 2


def test_a_frozen_rtsp_server_is_lost_and_found(server: Served, port: int) -> None:
    server.start("live", "320", "240", "25")
    arrivals = Arrivals()
    with open_source(f"rtsp://127.0.0.1:{port}/road") as source:
        reader = Reader(source, arrivals.keep)
        reader.wait_for_frames(20)
        server.pause(True)
        wait_for(source, "lost")
        server.pause(False)
        wait_for(source, "live")
        wait_until(lambda: arrivals.ages[-1] < 0.5, "a fresh frame")
        assert source.health().gaps == source.health().reconnects == 1
