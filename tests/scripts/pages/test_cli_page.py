"""``docs/cli.md`` agrees with the parsers."""

from __future__ import annotations

import re

from pipeline.cli.parser import make_parser
from scripts.pages.cli import PAGE, page


def test_the_page_is_what_the_parsers_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run scripts/cli_page.sh"


def test_every_option_of_every_command_is_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## roadseg (\S+)\n(.*?)(?=^## |\Z)", text, re.M | re.S))
    [commands] = [one for one in make_parser()._actions if one.dest == "command"]
    assert commands.choices is not None
    assert set(sections) == set(commands.choices)
    for name, command in commands.choices.items():  # type: ignore[attr-defined]
        named = set(re.findall(r"--[a-z0-9-]+", sections[name]))
        options = {text for one in command._actions for text in one.option_strings}
        assert {one for one in options if one.startswith("--")} - {"--help"} <= named
