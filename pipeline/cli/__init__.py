"""The command line: the only place where options become objects and objects meet.

Exit status: 0 done, or what has no end was ended by a signal; 1 with one line ``error: ...`` for
everything a user can cause; 2 wrong usage; 130 or 143 where Ctrl-C or SIGTERM cut a file, a build
or a training short.
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
UNEXPECTED = "a mistake of roadseg's own"

#: Arguments whose paths go to libraries that know UTF-8 alone.
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
    except Exception as error:  # a mistake of ours: everything a user can cause is caught before
        log.debug("a mistake of roadseg's own", exc_info=error)
        _complain(f"{UNEXPECTED}: {reason_of(error)}; --verbose shows where, please report it")
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
    """Print a command's result, whatever characters file names brought into it; True if done."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)
    except BrokenPipeError:  # the reader has what it wanted, as `| head` does
        _give_up_on_stdout()
        return True
    except OSError as error:
        _complain(
            f"the result cannot be written to standard output ({error.strerror}), the command "
            "itself is done; send it elsewhere"
        )
        _give_up_on_stdout()
        return False
    return True


def _give_up_on_stdout() -> None:
    """Let nothing more be written to it: at its end Python would try once more, and trace."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _check_names(options: argparse.Namespace) -> None:
    """Refuse paths that runtimes would be given and that are no UTF-8.

    Raises:
        RoadsegError: such a path.
    """
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
    """Lets no name of a file or a class move the terminal's cursor."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))
