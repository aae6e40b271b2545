"""A foreign file is first imported in a process of its own, which can be killed.

A few bytes of ONNX can ask for any amount of memory and time: a constant expanded to 2^40 values, a
resize by 600, functions that call each other twice at each of seventeen levels, and Ctrl-C does not
interrupt that. A file that is imported here is known to stay within the limits.
"""

from __future__ import annotations

import os
import pickle
import resource
import subprocess
import sys
from pathlib import Path

from models.bounded import in_words
from models.errors import RoadsegError
from pipeline.errors import BuildError
from pipeline.graph.onnx_import.options import ForeignOptions

_ROOT = Path(__file__).parents[3]
#: Seconds by the clock for each second of processor time: the machine may be busy.
_PATIENCE = 5
_TOO_MUCH = 3


def try_out(options: ForeignOptions, size: tuple[int, int] | None, batch: int) -> None:
    """Import a file as :func:`open_foreign` does, within limits, and discard the result.

    Raises:
        RoadsegError: as :func:`open_foreign`.
        BuildError: it takes more memory or time than it may.
    """
    # The child imports the same code as this process, wherever it is started.
    path = os.pathsep.join([str(_ROOT), *filter(None, sys.path)])
    with subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": path},
    ) as child:
        try:
            told, _ = child.communicate(
                pickle.dumps((options, size, batch)), timeout=options.seconds * _PATIENCE
            )
        except subprocess.TimeoutExpired:
            told = b""
        finally:  # at Ctrl-C as well
            child.kill()
            child.wait()
    if child.returncode == 0:
        return
    if child.returncode == 1 and told:
        kind, text = told.decode("utf-8", "replace").split("\n", 1)
        raise _kinds(RoadsegError).get(kind, BuildError)(text)
    raise BuildError(
        f"{options.path.name} cannot be imported with {in_words(options.memory)} of memory and "
        f"{options.seconds} s of processor time; give a smaller --size, or raise --import-memory "
        "and --import-seconds if the file comes from somebody you trust"
    )


def _kinds(root: type[RoadsegError]) -> dict[str, type[RoadsegError]]:
    found = {root.__name__: root}
    for kind in root.__subclasses__():
        found |= _kinds(kind)
    return found


def _limit(options: ForeignOptions) -> None:
    used = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    for what, most in (
        (resource.RLIMIT_DATA, used + options.memory),
        (resource.RLIMIT_CPU, options.seconds),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(what)
        resource.setrlimit(what, (most if hard < 0 else min(most, hard), hard))


def main() -> int:
    """Import the file that standard input names; 0, or 1 with an error on standard output."""
    options, size, batch = pickle.load(sys.stdin.buffer)  # from our own parent
    # Imported before the limits are set, so that they cover the file and not our own imports.
    from pipeline.graph.onnx_import import open_foreign

    _limit(options)
    try:
        open_foreign(options, size, batch)
    except RoadsegError as error:
        sys.stdout.write(f"{type(error).__name__}\n{error}")
        return 1
    except (MemoryError, RecursionError):
        return _TOO_MUCH
    return 0


if __name__ == "__main__":
    sys.exit(main())
