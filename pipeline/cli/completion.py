"""Completion of the command line in a shell: ``roadseg --print-completion bash``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

#: Arguments that take the name of a network.
_OF_A_NETWORK = ("model", "network", "engine")
_SHELLS = ("bash", "zsh", "tcsh")


class PrintCompletion(argparse.Action):
    """Print the script for a shell, and leave."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        if values not in _SHELLS:
            parser.error(f"--print-completion {values} was given, expected {', '.join(_SHELLS)}")
        import shtab  # only for this

        from models.registry import MODELS

        _tell_values(parser, shtab.FILE, list(MODELS))
        print(shtab.complete(parser, shell=str(values)))
        parser.exit()


def _tell_values(parser: argparse.ArgumentParser, files: Any, networks: list[str]) -> None:
    """Say of each argument what a shell may offer for it."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                _tell_values(command, files, networks)
        elif not action.option_strings and action.dest in _OF_A_NETWORK:
            action.choices = networks
        elif action.type is Path or action.dest in {"source", "sink", "weights"}:
            action.complete = files  # type: ignore[attr-defined]
