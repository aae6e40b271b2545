"""Records part of a week in fast motion, with everything that happens to a recorder.

Frames carry their number as sixteen bars. Every video is read back before it makes room; the last
line of the output lists the frames of each video.
"""

from __future__ import annotations

import datetime
import json
import os
import random
import shutil
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from small_disk import SmallDisk
from videos import read_video

from pipeline.engine.manifest import Engine, load_engine
from pipeline.runtimes.null import NullSession
from pipeline.runtimes.registry import open_session
from pipeline.runtimes.reload import WatchedSession
from pipeline.runtimes.session import Session
from pipeline.stream.frame import Frame, Image, Result
from pipeline.stream.sinks import SinkOptions, open_sink

FPS = 2.0
#: Frames of a video.
FRAMES = 4
SIZE = (48, 64)


@dataclass(frozen=True)
class Part:
    """What happens between two starts.

    Attributes:
        folder: of the recording.
        engine: the engine to run; replaced by ``others`` in turn.
        others: folders with engines of the same name.
        first, count: frames.
        keep: bytes of the recording.
        real: segment with OpenVINO, not with a session that does nothing.
        killed: the part ends by ``kill -9``.
    """

    folder: str
    engine: str
    others: list[str]
    first: int
    count: int
    keep: int
    real: bool
    killed: bool


class Clock(datetime.datetime):
    """The time of day of a board without a battery."""

    moment = 1_796_000_000.0

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Clock:  # type: ignore[override]
        return cls.fromtimestamp(cls.moment, tz)


def bars(number: int) -> Image:
    """A picture of a number."""
    bits = [255 * (number >> place & 1) for place in range(16)]
    row = np.repeat(np.array(bits, np.uint8), SIZE[1] // 16)
    return np.ascontiguousarray(np.broadcast_to(row[None, :, None], (*SIZE, 3)))


def number_of(image: Image) -> int:
    row = image[:, :, 0].reshape(SIZE[0], 16, -1).mean((0, 2))
    return sum(int(value > 128) << place for place, value in enumerate(row))


class Reader:
    """Reads each finished video once, and checks that the existing ones are the newest."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.seen: dict[int, list[int]] = {}

    def look(self) -> None:
        videos = {int(path.name.split("-")[1]): path for path in self._folder.glob("drive-*")}
        assert sorted(videos) == list(range(min(videos), max(videos) + 1)), "not the oldest went"
        for number, path in videos.items():
            writing = number == max(videos) and "partial" in path.name
            if number not in self.seen and not writing:
                self.seen[number] = [number_of(image) for image in read_video(path)[0]]


def record(part: Part) -> None:
    folder, engine = Path(part.folder), Path(part.engine)
    patch = pytest.MonkeyPatch()
    patch.setattr("pipeline.stream.sinks.segments.datetime", Clock)
    disk = SmallDisk(folder, 1 << 40, patch)
    chance, reader = random.Random(part.first), Reader(folder)

    def opened(path: Path) -> tuple[Engine, Session]:
        loaded = load_engine(path)
        return loaded, open_session(loaded) if part.real else NullSession(120, 90)

    replaced = 0
    watched = WatchedSession(engine, interval=0.01, open_=opened)
    options = SinkOptions(fps=FPS, live=True, segment=FRAMES / FPS, keep=part.keep)
    sink = open_sink(str(folder / "drive.mp4"), options)
    for place in range(part.count):
        index = part.first + place
        Clock.moment += 1 / FPS
        if place % 50 == 7:
            Clock.moment += chance.uniform(-4e7, 4e7)
        if place % (part.count // 4) == part.count // 8:
            other = Path(part.others[replaced % len(part.others)])
            for path in sorted(other.iterdir()):
                shutil.copyfile(path, engine.with_name(path.name))
            replaced += 1
        if place % (part.count // 3) == part.count // 6:
            disk.size = disk.used  # something else fills the disk
        if place % (part.count // 3) == part.count // 4:
            disk.size = 1 << 40
        image = bars(index)
        frame = Frame(image, index, index / FPS, f"{index:06d}")
        classes = watched.run(image[None])[0]
        assert sink.write(Result(frame, classes, index / FPS, None, image))
        if place % FRAMES == FRAMES - 1:
            reader.look()
    deadline = time.monotonic() + 30
    while not watched.swaps and time.monotonic() < deadline:
        watched.run(bars(0)[None])
        time.sleep(0.01)
    reader.look()
    if not part.killed:
        sink.close()
        reader.look()
    sys.stdout.write(json.dumps({"videos": reader.seen, "swaps": watched.swaps}) + "\n")
    sys.stdout.flush()
    if part.killed:
        os.kill(os.getpid(), signal.SIGKILL)
    watched.close()


if __name__ == "__main__":
    record(Part(**json.loads(sys.argv[1])))
