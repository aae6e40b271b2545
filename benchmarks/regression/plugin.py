"""What the gate adds to pytest: options, figures in the stored JSON, lines at the end of a run."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.regression.work import RUNTIMES

#: Results of a run: figures by name, and lines for the summary.
FIGURES = pytest.StashKey[dict[str, dict[str, Any]]]()
LINES = pytest.StashKey[list[str]]()


def add_options(parser: pytest.Parser) -> None:
    """``--base``, ``--only`` and ``--runtime``."""
    add = parser.getgroup("regression", "this commit against the base commit").addoption
    add("--base", metavar="REV", help="instead of that of benchmarks/BASE; 'none' for none")
    add("--only", action="append", metavar="NAME", help="only what has this in its name")
    add("--runtime", choices=tuple(RUNTIMES), default="openvino", help="of engines")


def pytest_configure(config: pytest.Config) -> None:
    """Start with no results."""
    config.stash[FIGURES], config.stash[LINES] = {}, []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Remove tests without parameters after ``--only``."""
    items[:] = [item for item in items if "[NOTSET]" not in item.name]


def pytest_benchmark_update_json(config: pytest.Config, output_json: dict[str, Any]) -> None:
    """Store the figures with the times."""
    output_json["figures"] = config.stash[FIGURES]


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the comparison with the base."""
    for line in config.stash[LINES]:
        terminalreporter.write_line(line)
