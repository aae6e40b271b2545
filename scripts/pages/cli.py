"""Makes ``docs/cli.md`` from the parsers of the command line; ``scripts/cli_page.sh`` runs it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from pipeline.cli.parser import make_parser
from pipeline.cli.tables import markdown_table

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"

_HEAD = """\
# Commands

This page is generated from the parsers by `scripts/cli_page.sh`; a test compares the two. `roadseg`
is on the path of the environment (`.venv/bin/roadseg`, or wherever the wheel was installed); in a
checkout `python -m pipeline` is the same. The reasons are in
[decision 015](decisions/015-installation.md).

## Exit status

"""

_STATUSES = (
    ("0", "done; or a signal ended a source without an end, such as a camera"),
    (
        "1",
        "one line `error: what was given, what was expected, what to do` for mistakes of a user; "
        "also if frames of a file were lost, its outputs finished",
    ),
    ("2", "wrong usage, in one line"),
    (
        "130, 143",
        "Ctrl-C or SIGTERM ended a file, a build or a training early, with one line; outputs are "
        "finished",
    ),
)

_REST = """
With `--json` the last line of standard output is one JSON object; progress and logs go to standard
error. `--quiet` prints only errors. `roadseg --print-completion bash > FILE`, sourced by the
shell, completes commands, options, networks and files (`zsh` and `tcsh`, too).

The YAML file of `run --config FILE` has the options of `run` as keys, without the dashes;
options on the command line take precedence. `run ... --print-config` prints such a file and runs
nothing.
"""


def page() -> str:
    """Return the page."""
    parser = make_parser()
    parts = [_HEAD + markdown_table(("status", "when"), _STATUSES) + _REST]
    for name, command, summary in _commands(parser):
        parts.append(f"## roadseg {name}\n\n{summary}.\n" if summary else f"## roadseg {name}\n")
        parts += [_table(group) for group in command._action_groups if _shown(group)]
        if command.epilog:
            parts.append(f"{command.epilog}\n")
    return "\n".join(parts)


def _commands(
    parser: argparse.ArgumentParser,
) -> Iterator[tuple[str, argparse.ArgumentParser, str]]:
    [commands] = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
    summaries = {one.dest: one.help or "" for one in commands._choices_actions}
    for name, command in commands.choices.items():
        summary = summaries[name]
        yield name, command, summary[:1].upper() + summary[1:]


def _shown(group: argparse._ArgumentGroup) -> list[argparse.Action]:
    return [
        one
        for one in group._group_actions
        if one.help != argparse.SUPPRESS and not isinstance(one, argparse._HelpAction)
    ]


def _table(group: argparse._ArgumentGroup) -> str:
    usual = group.title in {"positional arguments", "options"}
    about = f" ({group.description})" if group.description else ""
    title = "" if usual else f"**{group.title}**{about}\n\n"
    head = ("argument", "") if group.title == "positional arguments" else ("option", "")
    rows = [(f"`{_form(one)}`".replace("|", "\\|"), _help(one)) for one in _shown(group)]
    return title + markdown_table(head, rows)


def _form(action: argparse.Action) -> str:
    value = action.metavar or ("|".join(map(str, action.choices)) if action.choices else None)
    if not action.option_strings:
        return str(value or action.dest)
    text = ", ".join(action.option_strings)
    if action.nargs == 0:
        return text
    given = str(value or action.dest.upper())
    return f"{text} [{given}]" if action.nargs == "?" else f"{text} {given}"


def _help(action: argparse.Action) -> str:
    text = (action.help or "").replace("%(default)s", str(action.default))
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
