"""The command line: the only place where options become objects and objects meet.

Exit status: 0 done, or what has no end was ended by a signal; 1 with one line ``error: ...`` for
everything a user can cause; 2 wrong usage; 130 or 143 where Ctrl-C or SIGTERM cut a file, a build
or a training short.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from models.errors import RoadsegError
from pipeline.cli.outcome import Outcome
from pipeline.cli.parser import parse_arguments
from pipeline.cli.signals import Terminated, raise_on_termination
from pipeline.cli.tables import attempts_table
from pipeline.errors import AccuracyError


def console() -> int:
    """Run the command line of this process; return its exit status."""
    raise_on_termination()
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output went away, as `| head` does
        # What is still buffered would raise again when Python closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:  # while something was imported
        return 130
    return status


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status."""
    options = parse_arguments(arguments)
    _set_up_logging(options.verbose)
    try:
        # Only the chosen command is imported: a camera must not wait for a compiler, or need torch.
        command = import_module(f".{options.command.replace('-', '_')}", __package__)
        outcome: Outcome = command.run(options)
    except RoadsegError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        if isinstance(error, AccuracyError):
            print(attempts_table(error.attempts), file=sys.stderr)
        return 1
    except KeyboardInterrupt as error:
        terminated = isinstance(error, Terminated)
        print("terminated" if terminated else "interrupted", file=sys.stderr)
        return 143 if terminated else 130
    for problem in outcome.problems:
        print(f"error: {problem}", file=sys.stderr)
    if options.json:
        print(json.dumps(outcome.document))
    elif not options.quiet:
        print(outcome.text)
    return 1 if outcome.problems else outcome.status


def _set_up_logging(verbose: bool) -> None:
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.WARNING,
        format="%(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    if not verbose:  # importing torchao warns of its CUDA parts and of its own types
        for name in ("torchao", "torch.utils._pytree"):
            logging.getLogger(name).setLevel(logging.ERROR)
