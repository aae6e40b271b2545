"""The files of an engine: their names, sizes and hashes, held against what lies on the disk."""

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
        ValueError: a size or a hash that is none.
    """

    name: str
    bytes: int
    sha256: str

    def __post_init__(self) -> None:
        if self.bytes < 0 or not _SHA256.fullmatch(self.sha256):
            raise ValueError(f"the size or the SHA-256 of {self.name!r} is none")


def describe_file(path: Path) -> EngineFile:
    """Measure and hash one engine file."""
    return EngineFile(path.name, path.stat().st_size, sha256_of(path))


def check_name(name: str, path: Path) -> None:
    """Refuse a name out of the file ``path`` that would lead to another folder.

    Raises:
        EngineError: such a name.
    """
    if not is_plain_name(name):
        raise EngineError(
            f"{path} names the file {name!r}, expected {PLAIN_NAME}; it is damaged or was made to "
            "reach other folders, build the engine again"
        )


def verify_file(path: Path, file: EngineFile) -> None:
    """Hold the file at ``path`` against what a manifest says.

    Raises:
        EngineError: missing, or another one.
    """
    if not path.is_file():
        raise EngineError(
            f"engine file {path} is missing, the manifest names it; build the engine again"
        )
    compare(path, file, path.stat().st_size, lambda: sha256_of(path))


def compare(path: Path, file: EngineFile, size: int, hashed: Callable[[], str]) -> None:
    """Hold a size in bytes and a SHA-256, which is computed last, against what a manifest says.

    Raises:
        EngineError: the first that differs.
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
