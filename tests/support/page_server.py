"""The project's own page as a camera, to be killed: ``page_server.py PORT WIDTH HEIGHT FPS``.

Streams pictures stamped with their time (``time_stamps``) through a session that does no work
into the page. Prints ``ready`` when it listens.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
from time_stamps import stamp

sys.path.insert(0, str(Path(__file__).parents[2]))

from pipeline.runtimes.null import NullSession
from pipeline.stream import run
from pipeline.stream.frame import Frame
from pipeline.stream.sinks import SinkOptions
from pipeline.stream.sources import Source
from pipeline.stream.web import HttpOptions, Page


class Stamped(Source):
    """Grey pictures with their time, at a steady rate."""

    live = True

    def __init__(self, width: int, height: int, fps: float) -> None:
        super().__init__("stamped")
        self.fps = fps
        self._shape = (height, width, 3)
        self._index = 0

    def _read(self) -> Frame:
        time.sleep(1 / (self.fps or 1))
        pixels = bytearray(np.full(self._shape, 96, np.uint8).tobytes())
        stamp(pixels, self._shape[1] * 3, 3)
        image = np.frombuffer(pixels, np.uint8).reshape(self._shape)
        self._index += 1
        return Frame(image, self._index - 1, time.monotonic(), f"{self._index - 1:06d}")


if __name__ == "__main__":
    port, width, height = map(int, sys.argv[1:4])
    with Page(HttpOptions(port=port)) as page:
        sink = page.sink(SinkOptions(source="stamped", live=True))
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        run(NullSession(), Stamped(width, height, float(sys.argv[4])), [sink])
