"""Unique output names for pictures, also for pictures of the same name in several folders."""

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

    A name is the picture's stem. If a stem occurs in several folders, all names begin with their
    folders (``cam1-0001``); if two pictures differ only in the suffix, both keep it (``a.jpg``).
    """
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
    return _distinct([_short(name) for name in names])


def _prefixes(folders: set[Path]) -> dict[Path, str]:
    """Return for each folder its path below the common one, joined by ``-``."""
    whole = {folder: Path(os.path.abspath(folder)) for folder in folders}
    common = Path(os.path.commonpath(list(whole.values())))
    return {
        folder: "".join(f"{part}-" for part in path.relative_to(common).parts)
        for folder, path in whole.items()
    }


def _short(name: str) -> str:
    """Shorten a name that is too long for a file system; its hash replaces the rest."""
    raw = os.fsencode(name)
    if len(raw) <= _LONGEST:
        return name
    return f"{os.fsdecode(raw[: _LONGEST - 9])}-{hashlib.sha256(raw).hexdigest()[:8]}"


def _distinct(names: list[str]) -> list[str]:
    """Number names that are still equal: ``a-b/c`` and ``a/b-c`` both become ``a-b-c``."""
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
