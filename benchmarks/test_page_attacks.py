"""A stream of ten frames a second and its visitor while clients attack the page."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import pytest

from calibration.scenes.synthetic import SyntheticDrive

_ROOT = Path(__file__).parents[1]
_TOKEN = "correct-horse"
_SECONDS = 10
_SERVER = """
import json, resource, sys
from pipeline.runtimes.null import NullSession
from pipeline.stream import run
from pipeline.stream.sinks import SinkOptions
from pipeline.stream.sources import SourceOptions, open_source
from pipeline.stream.web import HttpOptions, Page
resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
with Page(HttpOptions(port=0, token=sys.argv[2])) as page:
    sink = page.sink(SinkOptions(live=True))
    print(page.url, flush=True)
    report = run(NullSession(), open_source(sys.argv[1], SourceOptions(realtime=True)), [sink])
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({**report.to_json(), "memory_mb": memory // 1024}))
"""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "ten.mp4"
    drive = SyntheticDrive(640, 360)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (640, 360))
    for index in range(10 * _SECONDS):
        writer.write(drive.frame(index)[0])
    writer.release()
    return path


def _connect(port: int, sent: bytes = b"") -> socket.socket:
    connected = socket.create_connection(("127.0.0.1", port), timeout=2)
    try:
        connected.sendall(sent)
    except OSError:
        connected.close()
        raise
    return connected


def _asked(path: str, *more: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: 127.0.0.1", *more, "", ""]).encode()


def _silence(port: int, kept: list[socket.socket]) -> None:
    if len(kept) < 1200:
        kept.append(_connect(port))


def _half(port: int, kept: list[socket.socket]) -> None:
    kept.append(_connect(port, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"))
    if len(kept) > 200:
        kept.pop(0).close()


def _unread(port: int, kept: list[socket.socket]) -> None:
    kept.append(_connect(port, _asked(f"/stream/1.mjpg?token={_TOKEN}")))
    if len(kept) > 8:  # of each of four; in turn, slower than the page's rate limit
        kept.pop(0).close()
        time.sleep(1)


def _garbage(port: int, _kept: list[socket.socket]) -> None:
    with _connect(port, b"\x16\x03garbage\x00\r\n\r\n") as one:
        one.recv(1024)


def _guesses(port: int, _kept: list[socket.socket]) -> None:
    with _connect(port, _asked("/?token=guess", "Connection: close")) as one:
        one.recv(1024)


def _cross_site(port: int, _kept: list[socket.socket]) -> None:
    with _connect(port, _asked("/snapshot/1.jpg", "Sec-Fetch-Site: cross-site")) as one:
        one.recv(1024)


def _pieces(port: int, _kept: list[socket.socket]) -> None:
    upgrade = (
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    )
    with _connect(port, _asked(f"/live/1?token={_TOKEN}", *upgrade)) as one:
        one.recv(1024)
        one.sendall(b"\x01\x80\0\0\0\0")
        for _ in range(1000):
            one.sendall(b"\x00\x80\0\0\0\0" * 10_000)


_ATTACKS = {
    "nothing": None,
    "silence": _silence,
    "half requests": _half,
    "unread streams": _unread,
    "garbage": _garbage,
    "guesses": _guesses,
    "cross-site": _cross_site,
    "pieces": _pieces,
}


def _attack(
    port: int, once: Callable[[int, list[socket.socket]], None], stop: threading.Event
) -> None:
    kept: list[socket.socket] = []
    while not stop.is_set():
        with suppress(OSError):
            once(port, kept)
    for one in kept:
        one.close()


def _visit(port: int) -> tuple[int, float]:
    """Status and seconds of a visitor with the token."""
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/snapshot/1.jpg", headers={"Authorization": f"Bearer {_TOKEN}"})
        response = connection.getresponse()
        response.read()
        return response.status, time.monotonic() - began
    except (OSError, http.client.HTTPException):
        return 0, time.monotonic() - began
    finally:
        connection.close()


@pytest.mark.parametrize("name", _ATTACKS)
def test_a_stream_under_attack_loses_no_frame_and_serves_its_visitor(
    name: str, clip: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "-c", _SERVER, str(clip), _TOKEN]
    with log.open("w") as errors:
        server = subprocess.Popen(
            command, cwd=_ROOT, stdout=subprocess.PIPE, stderr=errors, text=True
        )
    assert server.stdout is not None
    port = int(server.stdout.readline().split(":")[2].partition("/")[0])
    stop = threading.Event()
    attack = _ATTACKS[name]
    threads = [threading.Thread(target=_attack, args=(port, attack, stop)) for _ in range(4)]
    visits: list[tuple[int, float]] = []
    time.sleep(1)
    if attack is not None:
        for thread in threads:
            thread.start()
    until = time.monotonic() + _SECONDS / 2
    while time.monotonic() < until:
        visits.append(_visit(port))
        time.sleep(0.3)
    stop.set()
    report: dict[str, Any] = json.loads(server.communicate(timeout=60)[0])
    for thread in threads:
        if thread.ident is not None:
            thread.join()
    age = report["frame_age_ms"]["p99"]
    slowest = max(seconds for _, seconds in visits)
    figures = (
        f"{name}: {report['read']} read, {report['dropped']} dropped, p99 {age:.0f} ms; visits "
        f"{[status for status, _ in visits]}, slowest {slowest:.2f} s; "
        f"{report['memory_mb']} MB; log {log.stat().st_size} bytes"
    )
    sys.stdout.write(f"\n{figures}\n")
    assert {status for status, _ in visits} == {200}, figures
    assert report["dropped"] == 0
    assert age < 300
