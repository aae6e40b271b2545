"""Class maps for another process: what arrives, readers that are too slow, readers refused."""

from __future__ import annotations

import json
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from stream_doubles import Marks, Numbers

from models.classes import CAMVID
from pipeline.errors import OutputError, SourceError
from pipeline.stream import run
from pipeline.stream.frame import Frame, Result
from pipeline.stream.ipc.receiver import Receiver
from pipeline.stream.sinks import SinkOptions, numbered, open_sink


def result(index: int, size: tuple[int, int] = (24, 32)) -> Result:
    frame = Frame(np.zeros((48, 64, 3), np.uint8), index, 100.0 + index, f"{index:06d}")
    return Result(frame, np.full(size, index % 11, np.uint8), 100.5 + index)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "maps"


def test_another_process_gets_class_maps_by_the_documented_layout(path: Path) -> None:
    """Read without our reader: the layout is a promise to programs in any language."""
    with (
        open_sink(f"socket:{path}", SinkOptions(source="front")) as sink,
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as reader,
    ):
        reader.settimeout(10)
        reader.connect(str(path))
        with reader.makefile("rb") as file:
            kind, length = struct.unpack("<4sI", file.read(8))
            greeting = json.loads(file.read(length - 8))
            sink.write(result(7))
            head = struct.unpack("<4sIQddIIII", file.read(48))
            body = file.read(24 * 32)
    assert kind == b"RSGR"
    assert greeting["source"] == "front"
    assert [one["name"] for one in greeting["classes"]] == list(CAMVID.names)
    assert greeting["classes"][3]["colour"] == list(CAMVID.palette[3])
    assert head == (b"RSFR", 48 + 24 * 32, 7, 107.0, 107.5, 64, 48, 32, 24)
    assert body == bytes([7]) * (24 * 32)


def test_a_reader_follows_a_stream_to_its_end(path: Path) -> None:
    sink = open_sink(f"socket:{path}", SinkOptions(source="numbers"))
    with Receiver(path, timeout=10) as receiver:
        report = run(Marks(), Numbers(200, live=True, interval=0.001), [sink])
        frames = list(receiver)
    assert report.frames > 0
    assert receiver.source == "numbers"
    assert receiver.names == CAMVID.names
    indices = [frame.index for frame in frames]
    assert indices == sorted(set(indices))
    for frame in frames:
        assert (frame.classes == frame.index % 11).all()
        assert frame.frame_size == (64, 48)
        assert frame.captured <= frame.finished <= time.monotonic()
    assert not path.exists()


def test_a_reader_that_stalls_misses_frames_and_slows_nobody(path: Path) -> None:
    large = (1000, 1000)  # more than the system's buffers hold
    with open_sink(f"socket:{path}") as sink, Receiver(path, timeout=10) as stalled:
        with Receiver(path, timeout=10) as quick:
            for index in range(30):
                sink.write(result(index, large))
                if index == 0:
                    assert next(iter(quick)).index == 0
        assert sink.written == 30
        frames = iter(stalled)
        seen = [next(frames).index]
        while seen[-1] < 29:
            seen.append(next(frames).index)
    assert len(seen) < 30


def test_a_reader_that_leaves_is_forgotten(path: Path) -> None:
    with open_sink(f"socket:{path}") as sink:
        Receiver(path).close()
        for index in range(50):
            sink.write(result(index))
            time.sleep(0.002)
        with Receiver(path, timeout=10) as later:
            sink.write(result(50))
            assert next(iter(later)).index == 50


def test_closing_does_not_wait_for_a_reader_that_stalls(path: Path) -> None:
    sink = open_sink(f"socket:{path}")
    with Receiver(path) as stalled:
        for index in range(5):
            sink.write(result(index, (1000, 1000)))
        sink.close()
        assert len(list(stalled)) < 5
    assert not path.exists()


def test_only_the_user_may_connect(path: Path) -> None:
    with open_sink(f"socket:{path}"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_second_stream_is_refused_and_the_first_goes_on(path: Path) -> None:
    with open_sink(f"socket:{path}") as sink:
        with pytest.raises(OutputError, match="another stream listens"):
            open_sink(f"socket:{path}")
        with Receiver(path, timeout=10) as receiver:
            sink.write(result(1))
            assert next(iter(receiver)).index == 1


def test_the_socket_of_a_killed_stream_is_replaced(path: Path) -> None:
    code = (
        "import os, signal; from pipeline.stream.sinks import open_sink; "
        f"open_sink('socket:{path}'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3], timeout=60)
    assert path.is_socket()
    with open_sink(f"socket:{path}") as sink, Receiver(path, timeout=10) as receiver:
        sink.write(result(3))
        assert next(iter(receiver)).index == 3


def test_a_file_is_never_replaced(path: Path) -> None:
    path.write_text("somebody's own")
    with pytest.raises(OutputError, match="is no socket"):
        open_sink(f"socket:{path}")
    assert path.read_text() == "somebody's own"


def test_a_path_that_is_too_long_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="107 bytes"):
        open_sink(f"socket:{tmp_path / ('x' * 120)}")


def test_where_nobody_listens_is_one_line_with_the_remedy(path: Path) -> None:
    with pytest.raises(SourceError, match="start a stream with --sink socket:"):
        Receiver(path)


def test_a_silent_stream_is_one_line_after_the_timeout(path: Path) -> None:
    with (
        open_sink(f"socket:{path}"),
        Receiver(path, timeout=0.1) as receiver,
        pytest.raises(SourceError, match=r"gave no frame for 0\.1 s"),
    ):
        next(iter(receiver))


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"RSFR\x09\x00\x00\x00x",
        b"RSGR\x0a\x00\x00\x00[]",
    ],
)
def test_somebody_else_at_the_socket_is_one_line(path: Path, said: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen(1)
        listener.settimeout(10)

        def answer() -> None:
            connection, _ = listener.accept()
            connection.sendall(said)
            connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(SourceError):
            Receiver(path, timeout=10)
        thread.join()


def test_several_cameras_have_their_own_sockets() -> None:
    assert numbered("socket:/run/maps", 2) == "socket:/run/maps-2"
