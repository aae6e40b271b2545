"""Builds the wheel; everything else about the package stands in setup.cfg.

In the wheel the three packages lie below ``roadseg``, and their imports say so
(docs/decisions/015-installation.md).
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "scripts" / "packaging"))
from renaming import PACKAGES, renamed  # noqa: E402


def contents() -> Iterator[tuple[Path, Path]]:
    """Files of the wheel: where they lie here, and where in it."""
    yield ROOT / "roadseg.py", Path("roadseg/__init__.py")
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path, "roadseg" / path.relative_to(ROOT)


class BuildWheel(build_py):
    """Writes what ``contents`` lists; an editable installation reads the checkout itself."""

    def run(self) -> None:
        """Write the files, with imports renamed."""
        if self.editable_mode:
            return
        top = Path(self.build_lib)
        shutil.rmtree(top, ignore_errors=True)  # what an earlier build left
        for source, place in contents():
            target = top / place
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.suffix == ".py":
                target.write_text(renamed(source.read_text(encoding="utf-8")), encoding="utf-8")
            else:
                shutil.copyfile(source, target)
        (top / "roadseg" / "py.typed").touch()

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """Files that a build writes."""
        return [str(Path(self.build_lib) / place) for _, place in contents()]

    def get_source_files(self) -> list[str]:
        """Files that a source distribution needs."""
        return [str(source.relative_to(ROOT)) for source, _ in contents()]


setup(cmdclass={"build_py": BuildWheel})
