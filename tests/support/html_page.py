"""An HTML page parsed for tests: its tags, and the text and tables of its sections."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

#: Elements without an end tag.
VOID = {"meta", "img", "link", "br", "hr", "input", "base", "wbr"}


@dataclass
class Page(HTMLParser):
    """A parsed page: every start tag, the rows of every table, the text of every section.

    Sections are keyed by their labels; text outside them is in ``head``.
    """

    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    sections: dict[str, str] = field(default_factory=dict)
    tables: dict[str, list[list[str]]] = field(default_factory=dict)
    open: list[str] = field(default_factory=list)
    section: str = "head"

    def __post_init__(self) -> None:
        super().__init__()

    __hash__ = None  # type: ignore[assignment]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append((tag, given))
        if tag == "section":
            self.section = given["aria-labelledby"] or ""
        if tag == "tr":
            self.tables.setdefault(self.section, []).append([])
        if tag in {"td", "th"}:
            self.tables[self.section][-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag in {"td", "th"}:
            row = self.tables[self.section][-1]
            row[-1] = row[-1].strip()
        if tag in {"td", "th", "dt", "dd"}:
            self.sections[self.section] += " "
        if tag == "section":
            self.section = "head"

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        # Collapsed step by step: names may be split by line-break opportunities.
        self.sections[self.section] = _collapsed(self.sections.get(self.section, "") + data)
        if {"td", "th"} & set(self.open):
            row = self.tables[self.section][-1]
            row[-1] = _collapsed(row[-1] + data)

    def row(self, section: str, name: str) -> list[str]:
        """Return the row of a section's table that begins with ``name``."""
        return next(row for row in self.tables[section] if row[0] == name)


def _collapsed(text: str) -> str:
    """Collapse white space to one space, as a browser does."""
    return re.sub(r"\s+", " ", text)


def read(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    page.close()
    assert page.open == []
    return page
