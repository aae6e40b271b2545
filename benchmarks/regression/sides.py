"""The two sides: this checkout, and a worktree of the base commit, each with a worker process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BASE = ROOT / "benchmarks" / "BASE"
OUTPUTS = ROOT / "outputs" / "fps"
#: What decides which packages a commit runs with.
_PACKAGES = ("constraints.txt", "setup.cfg")


class BaseError(Exception):
    """The base cannot be had; the message says why and what to do."""


@dataclass(frozen=True)
class Base:
    """What the tree is compared with.

    Attributes:
        commit: its hash.
        date, reason: of the acceptance.
        figures: values that depend on no machine, so that nothing has to be built for them.
    """

    commit: str
    date: str = ""
    reason: str = ""
    figures: dict[str, float] = field(default_factory=dict)

    @classmethod
    def read(cls) -> Base:
        """Read ``benchmarks/BASE``."""
        return cls(**json.loads(BASE.read_text(encoding="utf-8")))

    def write(self) -> None:
        """Write ``benchmarks/BASE``."""
        BASE.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


def git(*arguments: str, folder: Path = ROOT) -> str:
    """Return what git prints.

    Raises:
        BaseError: git refuses.
    """
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise BaseError(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()


def worktree(revision: str) -> Path:
    """Check out a commit beside this tree, or return where it is already.

    Raises:
        BaseError: it is not in this clone.
    """
    try:
        commit = git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    except BaseError as error:
        raise BaseError(
            f"the base {revision} is not in this clone; fetch it with "
            f"'git fetch --depth 1 origin {revision}', or name another with --base"
        ) from error
    folder = OUTPUTS / f"base-{commit[:12]}"
    if not (folder / "setup.cfg").exists():
        git("worktree", "prune")
        git("worktree", "add", "--force", "--detach", str(folder), commit)
    return folder


def interpreter(root: Path) -> str:
    """Return the Python of a side: this one, unless the side asks for other packages."""
    if all((root / name).read_bytes() == (ROOT / name).read_bytes() for name in _PACKAGES):
        return sys.executable
    sys.stderr.write(f"the base has other packages; making its environment in {root}\n")
    subprocess.run([root / "scripts/environment.sh"], cwd=root, check=True)
    return str(root / ".venv" / "bin" / "python")


class Worker:
    """The process of one side; it stays, with what it loaded.

    Args:
        root: checkout that it measures.
        runtime: of its engines.
    """

    def __init__(self, root: Path, runtime: str) -> None:
        folder = OUTPUTS / ("head" if root == ROOT else f"of-{root.name}")
        folder.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONHASHSEED": "0"}
        environment["ROADSEG_CACHE"] = ""
        command = [interpreter(root), "-m", "benchmarks.regression.worker", runtime, str(folder)]
        self._process = subprocess.Popen(
            command, cwd=root, env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        self.name = "head" if root == ROOT else "base"

    def ask(self, what: str) -> Any:
        """Ask for ``list``, ``time NAME`` or ``figure NAME``.

        Raises:
            BaseError: the side could not do it.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(f"{what}\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        reply = json.loads(line or '{"error": "the process ended; it says why above"}')
        if "error" in reply:
            raise BaseError(f"{self.name}, {what}: {reply['error']}")
        return reply["is"]

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()
