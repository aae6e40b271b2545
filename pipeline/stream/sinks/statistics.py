"""Class shares and result age of each frame, as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.stream.frame import Result
from pipeline.stream.growing_file import GrowingFile
from pipeline.stream.sinks.base import MediaTime, Sink, SinkOptions
from pipeline.stream.sinks.file_sink import FileSink
from pipeline.stream.sinks.output_file import MARK


def matches(text: str) -> bool:
    """A file name that ends in ``.jsonl`` or ``.json``."""
    return Path(text).suffix.lower() in {".jsonl", ".json"}


def open_statistics(text: str, options: SinkOptions) -> Sink:
    return StatisticsSink(Path(text).expanduser(), options)


def rounded_shares(shares: NDArray[np.float64]) -> list[float]:
    """Return shares to five digits; the fifth is about a pixel of a large frame."""
    return [round(share, 5) for share in shares.tolist()]


def rounded_seconds(seconds: float) -> float:
    """Return a position in time to a tenth of a millisecond."""
    return round(seconds, 4)


class StatisticsSink(FileSink):
    """A header and one object per frame.

    ``.jsonl`` has one object per line, the header first. ``.json`` is one object: the header's
    keys, and the frames as a list under ``frames``.

    Header: ``format``, ``version``, ``comment``, ``source``, ``classes``. Frame: ``index``,
    ``name``, ``seconds`` (position in the source's own time), ``shares`` (class -> 0..1),
    ``result_age_ms`` (capture to result).
    """

    wants_shares = True

    def __init__(self, path: Path, options: SinkOptions) -> None:
        super().__init__("statistics", path, options.force)
        assert self._target is not None
        self._names = options.classes.names
        self._lines = path.suffix.lower() == ".jsonl"
        # The tail keeps a ``.json`` file valid at any moment; ``.jsonl`` needs none.
        self._file = GrowingFile(self._target.partial, b"" if self._lines else b"\n]}\n")
        self._time = MediaTime(options.fps, options.live)
        header = json.dumps(
            {
                "format": "roadseg-statistics",
                "version": 1,
                "comment": MARK,
                "source": options.source,
                "classes": list(self._names),
            }
        )
        self._opening = f"{header}\n" if self._lines else f'{header[:-1]}, "frames": [\n'

    def _write(self, result: Result) -> None:
        line = json.dumps(self._describe(result)) + ("\n" if self._lines else "")
        before = self._opening if not self.written else "" if self._lines else ",\n"
        self._file.append(f"{before}{line}")

    def _describe(self, result: Result) -> dict[str, Any]:
        shares = [] if result.shares is None else rounded_shares(result.shares)
        return {
            "index": result.frame.index,
            "name": result.frame.name,
            "seconds": rounded_seconds(self._time.seconds(result.frame)),
            "shares": dict(zip(self._names, shares, strict=True)),
            "result_age_ms": round((result.finished - result.frame.captured) * 1e3, 3),
        }

    def _close_file(self) -> None:
        self._file.close()
