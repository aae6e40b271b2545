"""What outputs of pictures are called: each picture its own name, folders kept apart."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

#: Bytes of a name; file systems take 255, and outputs add a suffix.
_LONGEST = 240


def unique_names(pictures: Sequence[Path]) -> list[str]:
    """Name outputs after their pictures.

    Stems; where one occurs in several folders, all have their folders before them
    (``cam1-0001``); where two differ in their suffix alone, those two keep it (``a.jpg``).
    """
    if not pictures:
        return []
    folders: dict[str, set[Path]] = {}
    for path in pictures:
        folders.setdefault(path.stem, set()).add(path.parent)
    apart = any(len(found) > 1 for found in folders.values())
    prefixes = _prefixes({path.parent for path in pictures}) if apart else {}
    stems = [prefixes.get(path.parent, "") + path.stem for path in pictures]
    counts = Counter(stems)
    names = [
        stem if counts[stem] == 1 else f"{stem}{path.suffix}"
        for stem, path in zip(stems, pictures, strict=True)
    ]
    return _told_apart([_short(name) for name in names])


def _prefixes(folders: set[Path]) -> dict[Path, str]:
    """Say where folders part from each other, in one word each."""
    whole = {folder: Path(os.path.abspath(folder)) for folder in folders}
    common = Path(os.path.commonpath(list(whole.values())))
    return {
        folder: "".join(f"{part}-" for part in path.relative_to(common).parts)
        for folder, path in whole.items()
    }


def _short(name: str) -> str:
    """Cut a name that a file system would not take, its own hash in place of the rest."""
    raw = os.fsencode(name)
    if len(raw) <= _LONGEST:
        return name
    return f"{os.fsdecode(raw[: _LONGEST - 9])}-{hashlib.sha256(raw).hexdigest()[:8]}"


def _told_apart(names: list[str]) -> list[str]:
    """Number names that are still the same: ``a-b/c`` and ``a/b-c`` both become ``a-b-c``."""
    taken: set[str] = set()
    found = []
    for name in names:
        free, number = name, 1
        while free in taken or (free != name and free in names):
            number += 1
            free = f"{name}-{number}"
        taken.add(free)
        found.append(free)
    return found
