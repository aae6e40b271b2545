"""The page's own files, read once: no path of a request ever reaches the file system."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_FOLDER = Path(__file__).parent / "static"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True)
class PageFile:
    """A file in memory.

    Attributes:
        path: in the address.
        content: its bytes.
        media_type: for the header.
    """

    path: str
    content: bytes
    media_type: str


def page_files() -> tuple[PageFile, ...]:
    """All files of the page; ``index.html`` is ``/``, the others are ``/static/NAME``."""
    return tuple(
        PageFile(
            "/" if file.name == "index.html" else f"/static/{file.name}",
            file.read_bytes(),
            _TYPES[file.suffix],
        )
        for file in sorted(_FOLDER.iterdir())
        if file.suffix in _TYPES
    )
