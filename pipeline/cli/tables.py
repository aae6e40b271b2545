"""Markdown tables, for the terminal and for generated pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a Markdown table that ends in a line break."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def attempts_table(attempts: Iterable[Mapping[str, Any]]) -> str:
    """Write the ``attempts`` of an ``AccuracyError``, what an INT8 build tried, as a table."""
    rows = [
        (
            str(one["method"]),
            str(len(one["high_precision"])),
            f"{one['pixel_agreement']:.2%}",
            "-" if one["miou_drop"] is None else f"{100 * one['miou_drop']:.2f}",
        )
        for one in attempts
    ]
    return markdown_table(("method", "layers kept", "agreement", "mIoU lost"), rows)
