"""A drive drawn by the program: endless, labelled, and available on every machine."""

from __future__ import annotations

import re
import time

from pipeline.errors import SourceError
from pipeline.stream.frame import Frame
from pipeline.stream.sources.base import Source, SourceOptions

_FORM = re.compile(r"synthetic(?::(\d{1,6})x(\d{1,6}))?", re.ASCII)
_SMALLEST, _LARGEST = 64, 3840
_WIDTH, _HEIGHT, _FPS = 960, 540, 25.0


def matches(text: str) -> bool:
    """``synthetic``, or ``synthetic:`` and a size."""
    return text.partition(":")[0] == "synthetic"


def open_synthetic(text: str, options: SourceOptions) -> Source:
    """Open a drive of the size in ``text``."""
    found = _FORM.fullmatch(text)
    size = (_WIDTH, _HEIGHT)
    if found is not None and found[1]:
        size = (int(found[1]), int(found[2]))
    if found is None or not all(_SMALLEST <= side <= _LARGEST for side in size):
        raise SourceError(
            f"source {text} has no usable size; give synthetic or synthetic:WIDTHxHEIGHT "
            f"with sides from {_SMALLEST} to {_LARGEST}, such as synthetic:1280x720"
        )
    return SyntheticSource(text, size, options.seed)


class SyntheticSource(Source):
    """Frames of a ``SyntheticDrive`` with their exact labels; it never ends."""

    endless = True

    def __init__(self, name: str, size: tuple[int, int], seed: int) -> None:
        # Imported here, since it takes long and other sources do not need it.
        from calibration.scenes.synthetic import SyntheticDrive

        super().__init__(name)
        width, height = size
        self.fps = _FPS
        self._drive = SyntheticDrive(width, height, seed=seed, fps=_FPS)
        self._index = 0

    def _read(self) -> Frame:
        index = self._index
        self._index += 1
        image, label = self._drive.frame(index)
        return Frame(image, index, time.monotonic(), f"{index:06d}", label)
