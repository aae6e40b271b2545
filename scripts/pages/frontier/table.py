"""The table behind the chart, in ``docs/performance.md``."""

from __future__ import annotations

from pathlib import Path

from models.speeds import OURS, Speeds
from pipeline.cli.tables import markdown_table
from scripts.pages.frontier.chart import PICTURE

#: The page, and the comments that enclose the table in it.
PAGE = Path(__file__).parents[3] / "docs" / "performance.md"
_BEGIN, _END = "<!-- frontier: scripts/frontier.sh -->\n", "<!-- /frontier -->\n"


def write_table(speeds: Speeds) -> None:
    """Replace the table in the page."""
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), speeds), encoding="utf-8")


def with_table(page: str, speeds: Speeds) -> str:
    """Return a page with the table and the chart between its two comments."""
    before, _, rest = page.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return before + _BEGIN + table(speeds) + _END + after


def table(speeds: Speeds) -> str:
    """Write chart, machine and rows, the fastest first."""
    rows = sorted(speeds.rows, key=lambda row: row.milliseconds)
    lines = (
        (
            f"`{row.network}`",
            row.tool,
            row.precision.upper(),
            f"{row.width}x{row.height}",
            f"{100 * row.miou:.1f}",
            f"{row.milliseconds:.1f}",
            f"{row.fps:.0f}" if row.fps >= 10 else f"{row.fps:.1f}",
        )
        for row in rows
    )
    head = ("network", "with", "precision", "input", "val mIoU", "ms", "FPS")
    words = (
        f"On {speeds.machine}, {speeds.date}: medians of {speeds.rounds} turns, all in one run, a\n"
        "frame of bytes of the network's size to its class map. What is not "
        f"`{OURS}` has the same\n"
        "weights, resized and normalised with OpenCV and NumPy."
    )
    picture = f"![Frames per second against mIoU]({PICTURE.name})"
    return f"\n{picture}\n\n{words}\n\n{markdown_table(head, lines)}\n"
