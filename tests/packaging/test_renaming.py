"""Imports as they are under ``roadseg``: none remains that another package could satisfy."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from scripts.packaging.renaming import PACKAGES, renamed

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from models.errors import E\n", "from roadseg.models.errors import E\n"),
        ("from pipeline import __version__\n", "from roadseg.pipeline import __version__\n"),
        ("def f():\n    from models import a\n", "def f():\n    from roadseg.models import a\n"),
        ("from modelstore import x\n", "from modelstore import x\n"),
        ('T = {"a": "pipeline.b.c:D"}\n', 'T = {"a": "roadseg.pipeline.b.c:D"}\n'),
        ('"""Reads models.json, says\n\nfrom models import a\n"""\n', None),
        ('x = "models/trained"\n', None),
        ('x = "pipeline. Then"\n', None),
        ("from .models import x\n", None),
    ],
)
def test_imports_and_names_of_modules_are_renamed_and_nothing_else(
    before: str, after: str | None
) -> None:
    assert renamed(before) == (before if after is None else after)


def test_an_import_that_binds_the_short_name_is_refused() -> None:
    with pytest.raises(ValueError, match=r"line 2: write 'from ... import' for models\.errors"):
        renamed("import sys\nimport models.errors\n")


def test_no_module_names_another_in_short_after_renaming() -> None:
    short = re.compile(rf"(?:{'|'.join(PACKAGES)})(?:\.[a-z_]+)+(?::\w+)?")
    assert len(SOURCES) > 250
    found = []
    for path in SOURCES:
        source = path.read_text(encoding="utf-8")
        after = renamed(source)
        assert after.count("\n") == source.count("\n")
        for node in ast.walk(ast.parse(after)):
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                top = (node.module or "").partition(".")[0]
                found += [f"{path}:{node.lineno}"] if top in PACKAGES else []
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found += [f"{path}:{node.lineno}"] if short.fullmatch(node.value) else []
    assert found == []
