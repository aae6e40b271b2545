"""Clients for tests of the page: requests, browser connections, a manually driven camera."""

from __future__ import annotations

import http.client
import json
import struct
import threading
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from pipeline.stream.frame import ClassMap, Frame, Image, Mark, Result
from pipeline.stream.health import SourceHealth
from pipeline.stream.overlay import class_shares
from pipeline.stream.sinks.base import Sink, SinkOptions
from pipeline.stream.status import SinkStatus, StreamStatus
from pipeline.stream.web import Page


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def get(page: Page, path: str, method: str = "GET", **headers: str) -> Answer:
    """Send a request without the clean-up that libraries do; ``_`` in header names means ``-``."""
    place = urlsplit(page.url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=10)
    try:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        connection.putrequest(method, path, skip_host="Host" in named)
        for name, text in named.items():
            connection.putheader(name, text)
        connection.endheaders()
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


def watch(page: Page, number: int = 1, **headers: str) -> ClientConnection:
    """Connect as a browser does; it answers nothing on its own."""
    place = urlsplit(page.url)
    address = f"ws://{place.netloc}/live/{number}"
    return connect(address, additional_headers=headers, max_size=None, close_timeout=1)


@dataclass(frozen=True)
class Shown:
    """A picture as a browser receives it."""

    header: dict[str, Any]
    image: Image
    classes: ClassMap


def next_picture(socket: ClientConnection, answer: bool = True) -> Shown:
    """Wait for a picture, and acknowledge it."""
    while not isinstance(message := socket.recv(10), bytes):
        pass
    if answer:
        socket.send("a")
    (length,) = struct.unpack(">I", message[:4])
    header = json.loads(message[4 : 4 + length])
    split = 4 + length + header["jpeg"]
    image = cv2.imdecode(np.frombuffer(message[4 + length : split], np.uint8), cv2.IMREAD_COLOR)
    classes = np.frombuffer(zlib.decompress(message[split:]), np.uint8)
    return Shown(
        header,
        np.asarray(image, dtype=np.uint8),
        classes.reshape(header["height"], header["width"]),
    )


def next_words(socket: ClientConnection, key: str = "camera") -> dict[str, Any]:
    """Wait for a message with numbers, or for the first one with ``hello``."""
    while True:
        message = socket.recv(10)
        if isinstance(message, str) and key in (words := json.loads(message)):
            return dict(words)


def listen_to_the_end(socket: ClientConnection) -> int:
    """Read messages until the server closes; return its code."""
    try:
        while True:
            socket.recv(10)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd is not None else 1006


class CameraInHand:
    """One tab of a page, fed as its stream would feed it."""

    def __init__(
        self, page: Page, source: str = "front", size: tuple[int, int] = (96, 128)
    ) -> None:
        self.sink: Sink = page.sink(SinkOptions(source=source))
        self._size = size
        self.index = 0
        self.marks: tuple[Mark, ...] = ()
        now = time.monotonic()
        nothing: dict[str, float | None] = {"p50": None, "p95": None, "p99": None}
        ages: dict[str, float | None] = {"p50": 40.0, "p95": 55.0, "p99": 80.0}
        self.status = StreamStatus(
            source=source,
            live=True,
            health=SourceHealth("live", now),
            running=12.0,
            read=0,
            shown=0,
            dropped=3,
            fps=25.0,
            frame_age_ms=ages,
            result_age_ms=nothing,
            stages_ms={"infer": ages},
            sinks=(SinkStatus("http", 0, 0), SinkStatus("video", 0, 2, "the disk is full")),
        )
        self.sink.attach(lambda: self.status)

    def show(self) -> None:
        """Write one frame: grey by its index, the left half road, the right half sky."""
        result = self.result(self.index)
        self.index += 1
        self.sink.write(result)
        self.status = replace(self.status, read=self.index, shown=self.index)

    def result(self, index: int) -> Result:
        grey = 40 + index * 7 % 170
        height, width = self._size
        frame = Frame(
            np.full((height, width, 3), grey, np.uint8), index, time.monotonic(), f"{index:06d}"
        )
        classes = np.zeros((24, 32), np.uint8)
        classes[:, :16] = 3
        return Result(frame, classes, time.monotonic(), class_shares(classes, 11), marks=self.marks)

    def lose(self) -> None:
        health = self.status.health
        lost = SourceHealth("lost", time.monotonic(), health.reconnects, health.gaps + 1)
        self.status = replace(self.status, health=lost)

    def come_back(self) -> None:
        health = self.status.health
        live = SourceHealth("live", time.monotonic(), health.reconnects + 1, health.gaps)
        self.status = replace(self.status, health=live)


class Moving:
    """A camera that shows pictures by itself until it is paused."""

    def __init__(self, page: Page, source: str) -> None:
        self.hand = CameraInHand(page, source, (240, 320))
        self.paused = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(0.05):
            if not self.paused.is_set():
                self.hand.show()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
