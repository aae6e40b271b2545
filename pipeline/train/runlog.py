"""The log of a run: one JSON object per line, in the order of the steps."""

from __future__ import annotations

import json
import math
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.atomic import atomic_path
from models.typed import convert, parse_json
from pipeline.errors import unwritable

Row = dict[str, Any]


@dataclass(frozen=True)
class _Row:
    step: int
    seconds: float = 0.0
    loss: float = 0.0
    miou: float | None = None


def writable(path: Path) -> AbstractContextManager[None]:
    """Raise OutputError if a file of a run cannot be written, for instance in a deleted folder."""
    return unwritable(
        path,
        "free some space there or choose another --folder, and continue from the last checkpoint "
        "with --resume",
    )


def in_words(row: Row) -> str:
    """Describe a row in one line."""
    words = [f"step {row['step']}", f"{row['seconds']:.0f} s"]
    if "loss" in row:
        words.append(f"loss {row['loss']:.3f}")
    if row.get("miou") is not None:
        words.append(f"val mIoU {100 * row['miou']:.1f}")
    if "pixel_accuracy" in row:
        words.append(f"pixel accuracy {100 * row['pixel_accuracy']:.1f}")
    if "rate" in row:
        words.append(f"rate {row['rate']:.1e}")
    return ", ".join(words)


class RunLog:
    """Rows with ``step``, ``seconds`` and either ``loss`` or ``miou`` of a validation.

    Args:
        path: the file; it need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, row: Row) -> None:
        """Write one more row."""
        with writable(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def rows(self) -> list[Row]:
        """Read all rows; skip damaged ones, such as a last line cut off by a crash."""
        if not self.path.exists():
            return []
        rows = []
        for line in self.path.read_bytes().splitlines():
            try:
                row = convert(parse_json(line), dict[str, Any])
                known = convert(row, _Row)
                if not math.isfinite(known.loss + (known.miou or 0.0) + known.seconds):
                    continue
            except ValueError:
                continue
            rows.append(row)
        return rows

    def cut(self, step: int) -> None:
        """Drop the rows after ``step``, which a resumed run computes and logs again."""
        kept = [row for row in self.rows() if row["step"] <= step]
        with writable(self.path), atomic_path(self.path) as temporary:
            temporary.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
