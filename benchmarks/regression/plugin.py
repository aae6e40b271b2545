"""What the gate adds to pytest: options, figures in the stored JSON, lines at the end of a run."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.regression.work import RUNTIMES

#: What a run found: figures by name, and lines for its end.
FIGURES = pytest.StashKey[dict[str, dict[str, Any]]]()
LINES = pytest.StashKey[list[str]]()


def add_options(parser: pytest.Parser) -> None:
    """``--base``, ``--only`` and ``--runtime``."""
    add = parser.getgroup("regression", "this commit against the base commit").addoption
    add("--base", metavar="REV", help="in place of that of benchmarks/BASE; 'none' for none")
    add("--only", action="append", metavar="NAME", help="only what has this in its name")
    add("--runtime", choices=tuple(RUNTIMES), default="openvino", help="of engines")


def pytest_configure(config: pytest.Config) -> None:
    """Make room for what is found."""
    config.stash[FIGURES], config.stash[LINES] = {}, []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what ``--only`` left nothing of."""
    items[:] = [item for item in items if "[NOTSET]" not in item.name]


def pytest_benchmark_update_json(config: pytest.Config, output_json: dict[str, Any]) -> None:
    """Keep with the times what is none."""
    output_json["figures"] = config.stash[FIGURES]


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say how this commit compares with the base."""
    for line in config.stash[LINES]:
        terminalreporter.write_line(line)
