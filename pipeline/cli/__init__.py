"""The command line: the only place where options become objects and objects meet.

Exit status: 0 done, or stopped cleanly by a signal; 1 with one line ``error: ...`` for everything
a user can cause; 2 wrong usage.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import TextIO

from models.bounded import limit_pictures
from models.errors import RoadsegError
from pipeline.cli.parser import parse_arguments
from pipeline.cli.tables import attempts_table
from pipeline.errors import AccuracyError, in_words, printable, reason_of

log = logging.getLogger(__name__)

#: Begins the line about an error that nobody expected.
UNEXPECTED = "a mistake of roadseg's own"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status."""
    options = parse_arguments(arguments)
    limit_pictures()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_PrintableFormatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(
        level=logging.DEBUG if options.verbose else logging.WARNING, handlers=[handler]
    )
    if not options.verbose:  # importing torchao warns of its CUDA parts and of its own types
        for name in ("torchao", "torch.utils._pytree"):
            logging.getLogger(name).setLevel(logging.ERROR)
    try:
        # Only the chosen command is imported: a camera must not wait for a compiler, or need torch.
        outcome = import_module(f"pipeline.cli.{options.command}").run(options)
    except RoadsegError as error:
        _complain(in_words(error))
        if isinstance(error, AccuracyError):
            print(attempts_table(error.attempts), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output went away, as `| head` does
        _leave(sys.stdout)
        return 1
    except Exception as error:  # a mistake of ours: everything a user can cause is caught before
        log.debug("a mistake of roadseg's own", exc_info=error)
        _complain(f"{UNEXPECTED}: {reason_of(error)}; --verbose shows where, please report it")
        return 1
    for problem in outcome.problems:
        _complain(problem)
    status = _tell(json.dumps(outcome.document) if options.json else printable(outcome.text))
    return 1 if outcome.problems else status


def _complain(text: str) -> None:
    print(f"error: {printable(text)}", file=sys.stderr)


def _tell(text: str) -> int:
    """Print a command's result, all of it; 1 where it cannot be written."""
    try:
        print(text, flush=True)
    except BrokenPipeError:  # as `| head` does
        _leave(sys.stdout)
        return 1
    except OSError as error:  # as `> /dev/full` does
        _leave(sys.stdout)
        reason = error.strerror or str(error)
        _complain(f"the result cannot be written to standard output ({reason}); free some space")
        return 1
    return 0


def _leave(stream: TextIO) -> None:
    """Let what is still held for a closed stream go nowhere when the interpreter ends."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


class _PrintableFormatter(logging.Formatter):
    """Lets no name of a file or a class move the terminal's cursor."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))
