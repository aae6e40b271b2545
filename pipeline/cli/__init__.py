"""The command line: the only place where options become objects and objects meet.

Exit status: 0 done, or stopped cleanly by a signal; 1 with one line ``error: ...`` for everything
a user can cause; 2 wrong usage.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Sequence
from importlib import import_module

from models.errors import RoadsegError
from pipeline.cli.parser import parse_arguments
from pipeline.cli.tables import attempts_table
from pipeline.errors import AccuracyError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status."""
    options = parse_arguments(arguments)
    logging.basicConfig(
        level=logging.DEBUG if options.verbose else logging.WARNING,
        format="%(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    if not options.verbose:  # importing torchao warns of its CUDA parts and of its own types
        for name in ("torchao", "torch.utils._pytree"):
            logging.getLogger(name).setLevel(logging.ERROR)
    try:
        # Only the chosen command is imported: a camera must not wait for a compiler, or need torch.
        outcome = import_module(f"pipeline.cli.{options.command}").run(options)
    except RoadsegError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        if isinstance(error, AccuracyError):
            print(attempts_table(error.attempts), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output went away, as `| head` does
        sys.stderr.close()
        return 1
    for problem in outcome.problems:
        print(f"error: {problem}", file=sys.stderr)
    print(json.dumps(outcome.document) if options.json else outcome.text)
    return 1 if outcome.problems else 0
