"""``run --config FILE``: the options of ``run`` in a YAML file, and ``--print-config``.

The keys are the options without their dashes, and ``engine``; a list repeats an option, ``true``
gives one without a value. They become arguments of the command line and are checked like those.
"""

from __future__ import annotations

import argparse
import copy
import reprlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from models.bounded import read_text
from pipeline.errors import reason_of

#: Bytes of a file with options.
_MOST_BYTES = 1 << 18

_COMMAND, _FILE, _PRINT = "run", "config", "print-config"
#: Options that make no sense in a file.
_BARRED = (_FILE, _PRINT, "help")


def with_config(arguments: Sequence[str], parser: argparse.ArgumentParser) -> list[str]:
    """Insert the arguments of the ``--config`` file before those of the command line.

    Args:
        arguments: of the whole command line.
        parser: of ``run``.
    """
    words = list(arguments)
    if words[:1] != [_COMMAND] or not any(word.partition("=")[0] == f"--{_FILE}" for word in words):
        return words
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument(f"--{_FILE}", type=Path, nargs="?")
    path = first.parse_known_args(words[1:])[0].config
    if path is None:  # without its value; the parser says so
        return words
    given = [word.partition("=")[0] for word in words if word.startswith("--")]
    return [_COMMAND, *_words(path, given, parser), *words[1:]]


def document_of(arguments: Sequence[str], parser: argparse.ArgumentParser) -> str:
    """Write the arguments of ``run`` as a file that ``--config`` reads.

    Args:
        arguments: as ``with_config`` returns them.
        parser: of ``run``; the arguments were accepted by it.
    """
    import yaml

    raw = copy.deepcopy(parser)
    for action in raw._actions:
        action.type = None
    found = vars(raw.parse_args(arguments[1:]))
    document = {
        name: found[action.dest]
        for name, action in _options(raw).items()
        if name not in _BARRED and found[action.dest] != action.default
    }
    return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True)).rstrip()


def _words(path: Path, given: Sequence[str], parser: argparse.ArgumentParser) -> Iterator[str]:
    options = _options(parser)
    for key, value in _read(path, parser).items():
        name = str(key).replace("_", "-")
        if name not in options or name in _BARRED:
            known = ", ".join(one for one in options if one not in _BARRED)
            parser.error(f"{path} has the key {key}, which is no option of run; it knows {known}")
        action = options[name]
        if any(f"--{name}".startswith(word) for word in given):
            continue  # the command line wins
        values = value if isinstance(value, list) else [value]
        if not action.option_strings:
            yield from map(str, values)
        elif action.nargs == 0:
            if not isinstance(value, bool):
                parser.error(f"{path}: {key} is {reprlib.repr(value)}, expected true or false")
            yield from [f"--{name}"] if value else []
        elif any(isinstance(one, bool | dict | None.__class__) for one in values):
            parser.error(f"{path}: {key} is {reprlib.repr(value)}, expected what --{name} takes")
        else:
            yield from (f"--{name}={one}" for one in values)


def _read(path: Path, parser: argparse.ArgumentParser) -> dict[Any, Any]:
    import yaml

    try:
        document = yaml.safe_load(read_text(path, _MOST_BYTES))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        _refuse(parser, path, reason_of(error))
    if not isinstance(document, dict):
        _refuse(parser, path, f"it holds a {type(document).__name__}")
    return document


def _refuse(parser: argparse.ArgumentParser, path: Path, why: str) -> NoReturn:
    parser.error(
        f"--config {path} cannot be read ({why}); expected YAML with a line 'option: value' each, "
        "as --print-config writes it"
    )


def _options(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """Key of a file -> argument of the command."""
    return {
        (one.option_strings[-1].lstrip("-") if one.option_strings else one.dest): one
        for one in parser._actions
    }
