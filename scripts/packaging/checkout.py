"""``import roadseg`` from a checkout: its packages, with the import names of the wheel.

Compiled files are cached beside Python's own as ``NAME.roadseg.pyc``, since the same source has
other imports when it is imported as ``models``.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any

from roadseg.scripts.packaging.renaming import PACKAGES, renamed

if TYPE_CHECKING:
    from collections.abc import Sequence

_PREFIXES = tuple(f"roadseg.{name}" for name in PACKAGES)


class _Loader(SourceFileLoader):
    """Compiles a module with its imports renamed."""

    def source_to_code(self, data: Any, path: Any, *, _optimize: int = -1) -> CodeType:
        if isinstance(data, bytes | bytearray):
            data = renamed(bytes(data).decode("utf-8"))
        return super().source_to_code(data, path)

    def get_data(self, path: Any) -> bytes:
        return super().get_data(_own(str(path)))

    def set_data(self, path: Any, data: Any, *, _mode: int = 0o666) -> None:
        super().set_data(_own(str(path)), data, _mode=_mode)  # type: ignore[call-arg]


class _Finder:
    """Finds only the three packages below ``roadseg``.

    It has no base class, which would import much that is not needed.
    """

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if not fullname.startswith(_PREFIXES):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None and spec.loader is not None:
            spec.loader = _Loader(fullname, spec.origin)
        return spec


def _own(path: str) -> str:
    return f"{path[: -len('.pyc')]}.roadseg.pyc" if path.endswith(".pyc") else path


def install() -> None:
    """Put this finder first."""
    sys.meta_path.insert(0, _Finder())
