"""Every name of TensorRT that this project uses exists."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

_ROOT = Path(__file__).parents[3]
_KNOWN = json.loads((_ROOT / "tests/data/tensorrt_names.json").read_text(encoding="utf-8"))
_NAMES = [name for group in _KNOWN.values() for name in group["names"]]


def _used() -> set[str]:
    """Find the names used after ``trt.`` in the code, the longest form of each."""
    files = sorted(_ROOT.glob("pipeline/runtimes/tensorrt/**/*.py"))
    found = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            words = ast.unparse(node).split(".") if isinstance(node, ast.Attribute) else []
            if words and words[0] == "self":
                words = words[1:]
            if len(words) > 1 and words[0] in {"trt", "_trt"} and not words[1].startswith("__"):
                # Names of the class such as ``__init__`` and ``__members__`` are Python's own.
                found.add(".".join(word for word in words[1:3] if not word.startswith("__")))
    return {name for name in found if not any(other.startswith(f"{name}.") for other in found)}


def test_every_name_that_the_code_uses_is_listed_with_its_source() -> None:
    used = _used()
    assert len(used) > 15
    assert used <= set(_NAMES)


@pytest.mark.parametrize("name", _NAMES)
def test_tensorrt_for_rtx_has_the_name(name: str) -> None:
    found: Any = pytest.importorskip("tensorrt_rtx")
    for word in name.split("."):
        found = getattr(found, word)
