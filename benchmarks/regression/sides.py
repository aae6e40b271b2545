"""The two sides: this checkout, and a worktree of the base commit, each with a worker process."""

from __future__ import annotations

import configparser
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BASE = ROOT / "benchmarks" / "BASE"
OUTPUTS = ROOT / "outputs" / "fps"


class SideError(Exception):
    """A side is not available or cannot be measured; the message says why and what to do."""


@dataclass(frozen=True)
class Base:
    """The commit that the tree is compared with.

    Attributes:
        commit: its hash, or another name of it.
        date, reason: of its acceptance.
        figures: those that are the same on every machine, so that they need no build.
    """

    commit: str
    date: str = ""
    reason: str = ""
    figures: dict[str, float] = field(default_factory=dict)

    @classmethod
    def read(cls) -> Base:
        """Read ``benchmarks/BASE``."""
        return cls(**json.loads(BASE.read_text(encoding="utf-8")))


def git(*arguments: str) -> str:
    """Return what git prints.

    Raises:
        SideError: git refuses.
    """
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise SideError(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()


def worktree(revision: str) -> Path:
    """Check out a commit in its own folder, or return the existing one.

    Raises:
        SideError: it is not in this clone.
    """
    try:
        commit = git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    except SideError as error:
        raise SideError(
            f"the base {revision} is not in this clone, so nothing can be judged; fetch it with "
            f"'git fetch --depth 1 origin {revision}', or name another with --base"
        ) from error
    folder = OUTPUTS / f"base-{commit[:12]}"
    if not (folder / ".git").exists():
        git("worktree", "prune")
        git("worktree", "add", "--detach", str(folder), commit)
    return folder


def interpreter(root: Path) -> str:
    """Return the Python of a side: this one, unless the side needs other packages.

    Further development tools of this tree do not affect the measurement.
    """
    (wanted, pins), (ours, our_pins) = _packages(root), _packages(ROOT)
    if wanted == ours and pins <= our_pins:
        return sys.executable
    sys.stderr.write(f"the base has other packages: its environment is made in {root}\n")
    subprocess.run([root / "scripts" / "environment.sh"], cwd=root, check=True)
    return str(root / ".venv" / "bin" / "python")


def _packages(root: Path) -> tuple[list[dict[str, str]], set[str]]:
    """Return what determines a commit's packages: sections of setup.cfg, and pins."""
    setup = configparser.ConfigParser()
    setup.read(root / "setup.cfg", encoding="utf-8")
    wanted = [dict(setup[name]) for name in setup.sections() if name.startswith("options")]
    for section in wanted:
        section.pop("dev", None)
    lines = (root / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return wanted, {line.strip() for line in lines if line.strip() and not line.startswith("#")}


class Worker:
    """The process of one side; it keeps running, with its loaded engines.

    Args:
        root: checkout that it measures.
        runtime: of its engines.
    """

    def __init__(self, root: Path, runtime: str) -> None:
        self._side = "head" if root == ROOT else "base"
        folder = OUTPUTS / "engines" / root.name
        folder.mkdir(parents=True, exist_ok=True)
        settings = {"PYTHONPATH": str(root), "PYTHONHASHSEED": "0", "ROADSEG_CACHE": ""}
        command = [interpreter(root), "-m", "benchmarks.regression.worker", runtime, str(folder)]
        self._process = subprocess.Popen(
            command, cwd=root, env={**os.environ, **settings}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def ask(self, what: str) -> Any:
        """Ask for ``list``, ``time NAME`` or ``figure NAME``.

        Raises:
            SideError: the side could not do it.
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
            raise SideError(f"{self._side}, {what}: {reply['error']}")
        return reply["is"]

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()
