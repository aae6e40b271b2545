"""Results to write to a sink."""

from __future__ import annotations

import numpy as np

from pipeline.stream.frame import Frame, Result
from pipeline.stream.overlay import class_shares
from pipeline.stream.sinks import SinkOptions, open_sink


def result(index: int, size: tuple[int, int] = (96, 64), captured: float | None = None) -> Result:
    """A frame whose left part is road, wider with each index, and whose rest is sky."""
    width, height = size
    image = np.random.default_rng(index).integers(0, 255, (height, width, 3), dtype=np.uint8)
    classes = np.zeros((32, 48), np.uint8)
    classes[:, : index % 48] = 3
    moment = 100 + index / 25 if captured is None else captured
    frame = Frame(image, index, moment, f"{index:06d}")
    return Result(frame, classes, moment + 0.02, class_shares(classes, 11), image)


def fill(text: str, results: list[Result], options: SinkOptions | None = None) -> None:
    """Open a sink, write all results, close it."""
    with open_sink(text, options) as sink:
        for one in results:
            sink.write(one)
