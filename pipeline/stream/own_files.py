"""Refuses outputs that would replace a file which the stream reads, even with ``--force``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline.errors import SinkError
from pipeline.stream.sinks import numbered, zones
from pipeline.stream.sinks.output_file import partial_of
from pipeline.stream.sources import Source

_NOT_FILES = frozenset({"window", "http", "none"})

Identity = tuple[int, int]


def check_outputs(
    sources: Sequence[Source], texts: Sequence[str], also_written: Iterable[Path] = ()
) -> None:
    """Refuse outputs that would replace frames or a video of any source.

    Args:
        sources: opened.
        texts: sinks, as given by the user.
        also_written: other files of the run.

    Raises:
        SinkError: an output is a file that is read, or a folder of pictures that are read.
    """
    files = [file for source in sources for file in source.files]
    read = {identity: file for file in files if (identity := _identity(file)) is not None}
    pictures = {
        identity: file
        for source in sources
        if len(source.files) > 1 or source.pictures
        for file in source.files
        if (identity := _identity(file.parent)) is not None
    }
    several = len(sources) > 1
    for text in texts:
        names = [numbered(text, n + 1) for n in range(len(sources))] if several else [text]
        for path in (path for name in names for path in _written(name)):
            _check(text, path, read, pictures, files)
    for path in also_written:
        _check(str(path), path, read, {}, [])


def _check(
    text: str,
    path: Path,
    read: dict[Identity, Path],
    pictures: dict[Identity, Path],
    files: Sequence[Path],
) -> None:
    file = read.get(_identity(path) or (0, 0))
    if file is None and path.is_dir():
        file = pictures.get(_identity(path) or (0, 0))
    if file is None:
        # Parts of a recording are named NAME-MARK, so any video with such a name may be replaced.
        prefix, suffix = f"{path.stem}-", path.suffix
        parts = (one for one in files if one.name.startswith(prefix) and one.suffix == suffix)
        place = _identity(path.parent)
        file = next((one for one in parts if suffix and _identity(one.parent) == place), None)
    if file is not None:
        raise SinkError(
            f"sink {text} would write over {file}, which is read; give another name or folder "
            "(--force does not change that)"
        )


def _written(text: str) -> list[Path]:
    """Return the file or folder that a sink writes, and its partial name."""
    if text in _NOT_FILES or "://" in text or text.startswith("socket:"):
        return []
    if zones.matches(text):
        return zones.written(text)
    for prefix in ("masks:", "masks-index:", "overlays:"):
        text = text.removeprefix(prefix)
    path = Path(text).expanduser()
    return [path, partial_of(path)] if path.name else [path]


def _identity(path: Path) -> Identity | None:
    """Return what identifies a file under any name and through any link."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
