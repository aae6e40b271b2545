"""The cache of compiled engines, with which the next start takes a third of the time."""

from __future__ import annotations

import hashlib
import logging
import os
from contextlib import suppress
from pathlib import Path

from models.atomic import atomic_path
from pipeline.engine.manifest import Manifest

log = logging.getLogger(__name__)

#: Number of compiled engines that are kept; each is about as large as its engine.
_KEPT = 8
#: Bytes of the SHA-256 at the start of each file.
_DIGEST = 32


def cache_folder() -> Path | None:
    """Make and return the cache folder; None where it is switched off or cannot be written.

    It is ``ROADSEG_CACHE``, which switches the cache off where it is empty, else ``roadseg`` in
    ``XDG_CACHE_HOME`` or ``~/.cache``.
    """
    named = os.environ.get("ROADSEG_CACHE")
    if named == "":
        return None
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = Path(named) if named else home / "roadseg"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: a user without a home
        log.info("no cache of compiled engines (%s)", error)
        return None
    return folder if os.access(folder, os.W_OK) else None


def folder_of(cache: Path, manifest: Manifest) -> Path:
    """Return the folder of an engine in a cache; its name is a hash of all the engine's files."""
    digest = hashlib.sha256("".join(file.sha256 for file in manifest.files).encode())
    return cache / digest.hexdigest()[:16]


def read_blob(path: Path) -> bytes | None:
    """Return a compiled engine as it was written; None where there is none.

    A damaged one is deleted: a runtime would load it, and one flipped bit in it gives wrong class
    maps without an error.
    """
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, blob = content[:_DIGEST], content[_DIGEST:]
    if hashlib.sha256(blob).digest() == digest:
        return blob
    log.warning("%s is damaged; the engine is compiled again", path)
    with suppress(OSError):
        path.unlink()
    return None


def write_blob(path: Path, blob: bytes | memoryview) -> None:
    """Write a compiled engine after its SHA-256; without it the next start only takes longer."""
    try:
        path.parent.mkdir(exist_ok=True)
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            file.write(hashlib.sha256(blob).digest())
            file.write(blob)
    except OSError as error:
        log.info("%s is not kept (%s)", path, error)


def forget_the_oldest(folder: Path, kept: int = _KEPT) -> None:
    """Remove all but the newest compiled engines; another process can still read an open one."""
    try:
        blobs = sorted(folder.glob("*/*.blob"), key=lambda blob: blob.stat().st_mtime)
        for blob in blobs[:-kept]:
            blob.unlink(missing_ok=True)
            if not any(blob.parent.iterdir()):
                blob.parent.rmdir()
    except OSError as error:
        log.info("the cache %s is not tidied (%s)", folder, error)
