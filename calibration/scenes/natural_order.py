"""The order in which people count: ``frame_2`` before ``frame_10``."""

from __future__ import annotations

import re
from pathlib import Path

_DIGITS = re.compile(r"([0-9]+)")

Key = tuple[tuple[tuple[str, int], ...], str]


def natural(path: Path | str) -> Key:
    """Return a key to sort paths by: numbers in them by value, the rest as text.

    Folders are compared before what is in them. Names that differ in leading zeros alone keep the
    order of their text.
    """
    text = str(path)
    parts = Path(text).parts
    return tuple(token for part in parts for token in (*_tokens(part), ("", -1))), text


def _tokens(part: str) -> list[tuple[str, int]]:
    pieces = _DIGITS.split(part)
    numbers = [*pieces[1::2], ""]
    return [(text, int(n) if n else -1) for text, n in zip(pieces[::2], numbers, strict=True)]
