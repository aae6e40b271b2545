"""The files of an engine: their names, sizes and hashes, and the check of those on disk."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from models.atomic import sha256_of
from models.file_names import PLAIN_NAME, is_plain_name
from pipeline.errors import EngineError

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class EngineFile:
    """Attributes: file ``name`` beside the manifest, its size in ``bytes``, its ``sha256``.

    Raises:
        ValueError: a size or a hash that is not one.
    """

    name: str
    bytes: int
    sha256: str

    def __post_init__(self) -> None:
        if self.bytes < 0 or not _SHA256.fullmatch(self.sha256):
            raise ValueError(f"{self.name!r} has no valid size or SHA-256")


def describe_file(path: Path) -> EngineFile:
    """Measure and hash one engine file."""
    return EngineFile(path.name, path.stat().st_size, sha256_of(path))


def check_name(name: str, path: Path) -> None:
    """Check that a name from the file ``path`` does not lead to another folder.

    Raises:
        EngineError: it does.
    """
    if not is_plain_name(name):
        raise EngineError(
            f"{path} names the file {name!r}, expected {PLAIN_NAME}; it is damaged or was made to "
            "reach other folders, build the engine again"
        )


def verify_file(path: Path, file: EngineFile) -> None:
    """Compare the file at ``path`` with a manifest's entry.

    Raises:
        EngineError: it is missing, or another file.
    """
    if not path.is_file():
        raise EngineError(
            f"engine file {path} is missing, the manifest names it; build the engine again"
        )
    compare(path, file, path.stat().st_size, lambda: sha256_of(path))


def compare(path: Path, file: EngineFile, size: int, hashed: Callable[[], str]) -> None:
    """Compare a size in bytes, then a SHA-256 (``hashed`` computes it), with a manifest's entry.

    Raises:
        EngineError: one of them differs.
    """
    if size != file.bytes:
        raise EngineError(
            f"engine file {path} has {size} bytes, the manifest says {file.bytes}; it is cut or "
            "from another build, build the engine again"
        )
    digest = hashed()
    if digest != file.sha256:
        raise EngineError(
            f"engine file {path} has SHA-256 {digest[:12]}..., the manifest says "
            f"{file.sha256[:12]}...; it is damaged or was replaced, build the engine again"
        )
