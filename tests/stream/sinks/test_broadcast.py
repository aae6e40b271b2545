"""Video over the network: what players and media servers get, and what if no server is there."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import pytest
from served import free_port
from sink_results import result
from stream_doubles import Marks, Numbers

from pipeline.errors import SinkError
from pipeline.stream import run
from pipeline.stream.sinks import SinkOptions, numbered, open_sink
from pipeline.stream.sinks.none import NoneSink

RECORDER = Path(__file__).parents[2] / "support" / "rtsp_recorder.py"


def test_a_player_gets_the_pictures_over_udp() -> None:
    port = free_port()
    seen: list[tuple[int, int]] = []

    def play() -> None:
        options = {"timeout": "20000000", "analyzeduration": "200000"}
        with av.open(f"udp://127.0.0.1:{port}", options=options) as container:
            for frame in container.decode(video=0):
                seen.append((frame.width, frame.height))
                if len(seen) == 10:
                    return

    player = threading.Thread(target=play, daemon=True)
    player.start()
    options = SinkOptions(fps=25.0, live=True)
    with open_sink(f"udp://127.0.0.1:{port}", options) as sink:
        deadline = time.monotonic() + 20
        index = 0
        while player.is_alive() and time.monotonic() < deadline:
            sink.write(result(index, size=(97, 64), captured=time.monotonic()))
            index += 1
            time.sleep(0.01)
    player.join(20)
    assert seen == [(98, 64)] * 10


def test_a_media_server_records_what_is_pushed(
    system_part: Callable[[str, Sequence[str]], None], tmp_path: Path
) -> None:
    python = "/usr/bin/python3"
    system_part("GStreamer's RTSP server", [python, str(RECORDER), "--check"])
    recorded = tmp_path / "recorded.mkv"
    command = [python, str(RECORDER), str(recorded)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            options = SinkOptions(fps=25.0)
            with open_sink(f"rtsp://127.0.0.1:{port}/live", options) as sink:
                for index in range(75):
                    sink.write(result(index))
                    time.sleep(0.02)
            deadline = time.monotonic() + 20
            while _pictures(recorded) < 40 and time.monotonic() < deadline:
                time.sleep(0.2)
        finally:
            server.kill()
    assert _pictures(recorded) >= 40  # the server's own buffers keep some


def _pictures(path: Path) -> int:
    try:
        with av.open(str(path)) as container:
            return sum(1 for packet in container.demux(video=0) if packet.size)
    except av.FFmpegError:
        return 0


def test_a_server_that_is_not_there_is_one_line_without_password_and_the_rest_goes_on() -> None:
    sink = open_sink(f"rtsp://me:secret@127.0.0.1:{free_port()}/live", SinkOptions(fps=25.0))
    other = NoneSink()
    report = run(Marks(), Numbers(20), [sink, other])
    assert other.written == 20
    (problem,) = report.problems
    assert "takes no video after 0 frames" in problem
    assert "secret" not in problem


def test_several_cameras_have_their_own_addresses() -> None:
    assert numbered("rtsp://server/live", 2) == "rtsp://server/live-2"
    assert numbered("udp://127.0.0.1:5000", 2) == "udp://127.0.0.1:5001"
    with pytest.raises(SinkError, match="has no port"):
        numbered("udp://somewhere", 1)
