"""Count imports and import cycles of a checkout by parsing it; nothing is imported.

Imports inside functions and under ``TYPE_CHECKING`` count like all others. ``from package import
module`` is an import of the module, ``from package import name`` one of the package's own file.

usage: python scripts/import_graph.py [CHECKOUT]
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

PACKAGES = ("models", "calibration", "pipeline")

#: Importer -> what it imports.
Graph = dict[str, set[str]]


def file_graph(root: Path) -> Graph:
    """Read the imports between the files of the three packages, by module name."""
    files = {name_of(path, root): path for top in PACKAGES for path in (root / top).rglob("*.py")}
    return {name: set(_imported(path, files)) - {name} for name, path in sorted(files.items())}


def name_of(path: Path, root: Path) -> str:
    """Return the module name of a file."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(path: Path, files: Mapping[str, Path]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                found = {f"{node.module}.{alias.name}", node.module} & files.keys()
                if found:
                    yield max(found, key=len)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in files)


def entry_graph(graph: Graph) -> Graph:
    """Group the files of ``pipeline`` by its entries, and those of other packages by package."""

    def entry(name: str) -> str:
        top, _, rest = name.partition(".")
        return f"{top}.{rest.partition('.')[0]}" if top == "pipeline" and rest else top

    entries: Graph = {}
    for importer, imported in graph.items():
        here = entries.setdefault(entry(importer), set())
        here |= {entry(name) for name in imported} - {entry(importer)}
    return entries


def cycles(graph: Graph) -> list[list[str]]:
    """Return groups of nodes that reach each other (strongly connected, more than one node)."""
    reached = {start: _reach(graph, start) for start in graph}
    groups = {
        tuple(sorted(node for node in reached[start] if start in reached[node]))
        for start in graph
        if start in reached[start]
    }
    return [list(group) for group in sorted(groups)]


def _reach(graph: Graph, start: str) -> set[str]:
    seen: set[str] = set()
    todo = list(graph[start])
    while todo:
        node = todo.pop()
        if node not in seen:
            seen.add(node)
            todo += graph[node]
    return seen


def main() -> None:
    """Print the counts and every cycle."""
    root = Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parents[1]
    files = file_graph(root)
    entries = entry_graph(files)
    inside = {name: links for name, links in entries.items() if name.startswith("pipeline.")}
    for what, graph in (("files", files), ("entries of pipeline", inside)):
        links = sum(len({one for one in found if one in graph}) for found in graph.values())
        found = cycles({name: links & graph.keys() for name, links in graph.items()})
        print(f"{what}: {len(graph)}, imports between them: {links}, cycles: {len(found)}")
        for group in found:
            print("  ", " <-> ".join(group))


if __name__ == "__main__":
    main()
