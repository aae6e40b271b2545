"""The command line: it reads the options and connects the parts of the program.

Exit status: 0 done, or a signal ended a source that has no end; 1 with one line ``error: ...`` for
any mistake of a user; 2 wrong usage; 130 or 143 if Ctrl-C or SIGTERM ended a file, a build or a
training early.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module

from models.bounded import limit_pictures
from models.errors import RoadsegError
from models.library_logs import quiet_imports
from pipeline.cli.outcome import Outcome
from pipeline.cli.parser import parse_arguments
from pipeline.cli.signals import Terminated, raise_on_termination
from pipeline.cli.tables import attempts_table
from pipeline.errors import AccuracyError, in_words, printable, reason_of

log = logging.getLogger(__name__)

#: Begins the line about an error that nobody expected.
UNEXPECTED = "internal error"

#: Arguments whose paths go to libraries that accept only UTF-8.
_FOR_LIBRARIES = ("engine", "engines", "output", "onnx", "model", "weights", "trace", "folder")


def console() -> int:
    """Run the command line of this process; return its exit status."""
    raise_on_termination()
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError:
        _give_up_on_stdout()
        return 0
    except KeyboardInterrupt:  # while something was imported
        return 130
    return status


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status."""
    options = parse_arguments(arguments)
    limit_pictures()
    _set_up_logging(options.verbose)
    try:
        _check_names(options)
        # Only the chosen command is imported: a camera must not wait for a compiler, or need torch.
        command = import_module(f".{options.command.replace('-', '_')}", __package__)
        outcome: Outcome = command.run(options)
    except RoadsegError as error:
        _complain(in_words(error))
        if isinstance(error, AccuracyError):
            print(attempts_table(error.attempts), file=sys.stderr)
        return 1
    except KeyboardInterrupt as error:
        terminated = isinstance(error, Terminated)
        print("terminated" if terminated else "interrupted", file=sys.stderr)
        return 143 if terminated else 130
    except BrokenPipeError:  # the reader of our output went away, as `| head` does
        _give_up_on_stdout()
        return 0
    except Exception as error:  # a bug: mistakes of users are caught above
        log.debug(UNEXPECTED, exc_info=error)
        _complain(
            f"{UNEXPECTED}: {reason_of(error)}; run with --verbose for the traceback, and report it"
        )
        return 1
    for problem in outcome.problems:
        _complain(problem)
    told = True
    if options.json or not options.quiet:
        told = _tell(json.dumps(outcome.document) if options.json else printable(outcome.text))
    return 1 if outcome.problems or not told else outcome.status


def _set_up_logging(verbose: bool) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_PrintableFormatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.DEBUG if verbose else logging.WARNING, handlers=[handler])
    if not verbose:
        quiet_imports()


def _complain(text: str) -> None:
    print(f"error: {printable(text)}", file=sys.stderr)


def _tell(text: str) -> bool:
    """Print a command's result; escape what the terminal cannot show. Return whether it worked."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)
    except BrokenPipeError:  # the reader has what it wanted, as `| head` does
        _give_up_on_stdout()
        return True
    except OSError as error:
        _complain(
            f"the result cannot be written to standard output ({error.strerror}); the command "
            "itself is done, send its output elsewhere"
        )
        _give_up_on_stdout()
        return False
    return True


def _give_up_on_stdout() -> None:
    """Redirect it to nowhere: Python would try to write once more at exit, and print a "
    "traceback.
    """
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _check_names(options: argparse.Namespace) -> None:
    """Raise RoadsegError for a path that is not UTF-8 but goes to a library that needs it."""
    for name in _FOR_LIBRARIES:
        given = getattr(options, name, None)
        for path in given if isinstance(given, list) else [given]:
            try:
                str(path).encode()
            except UnicodeEncodeError:
                shown = str(path).encode(errors="surrogateescape").decode(errors="replace")
                raise RoadsegError(
                    f"the path {shown} is no UTF-8, expected one for {name}; rename it"
                ) from None


class _PrintableFormatter(logging.Formatter):
    """Escapes control characters that file or class names may hold."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))
