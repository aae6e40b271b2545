"""Natural order of file names: ``frame_2`` before ``frame_10``."""

from __future__ import annotations

import re
from pathlib import Path

_DIGITS = re.compile(r"([0-9]+)")

Key = tuple[tuple[tuple[str, int], ...], str]


def natural(path: Path | str) -> Key:
    """Return a sort key for paths: numbers by value, the rest as text, folder by folder.

    Names that differ only in leading zeros are ordered as text.
    """
    text = str(path)
    parts = Path(text).parts
    return tuple(token for part in parts for token in (*_tokens(part), ("", -1))), text


def _tokens(part: str) -> list[tuple[str, int]]:
    pieces = _DIGITS.split(part)
    numbers = [*pieces[1::2], ""]
    return [(text, int(n) if n else -1) for text, n in zip(pieces[::2], numbers, strict=True)]
