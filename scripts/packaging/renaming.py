"""How the packages of the checkout become ``roadseg.models``, ``.calibration`` and ``.pipeline``.

In the checkout they are imported as ``models``, ``calibration`` and ``pipeline``, names that could
clash with a user's own packages. Below ``roadseg`` their imports use full names, so that no folder
and no other package can shadow them. The wheel is written that way (``setup.py``), an editable
installation is read that way (``checkout``). Line numbers do not change.
"""

from __future__ import annotations

PACKAGES = ("models", "calibration", "pipeline")

_NAMES = "|".join(PACKAGES)
_STATEMENT = rf"^(\s*from\s+)({_NAMES})(?=[.\s])"
#: A module's name in a table, or that of a logger: text that begins with a package and a dot.
_TEXT = rf"""(?<=["'])({_NAMES})(?=\.[a-z_]+[.\w:]*["'])"""


def renamed(source: str) -> str:
    """Return the source of a module with its imports below ``roadseg``.

    Raises:
        ValueError: it imports one of the packages by ``import NAME``, which binds the short name.
    """
    import ast  # imported here, since compiled files, the usual case, need neither
    import re

    lines = source.splitlines(keepends=True)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            short = [one.name for one in node.names if one.name.partition(".")[0] in PACKAGES]
            if short:
                raise ValueError(f"line {node.lineno}: write 'from ... import' for {short[0]}")
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            place = node.lineno - 1
            lines[place] = re.sub(_STATEMENT, r"\1roadseg.\2", lines[place])
    return "".join(re.sub(_TEXT, r"roadseg.\1", line) for line in lines)
