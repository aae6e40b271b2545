"""Training processes: several at once, stopped together, continued later."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

_POLL_SECONDS = 0.2
#: For saving a checkpoint after an interrupt.
_PATIENCE_SECONDS = 120


@dataclass
class Run:
    """The training of one network.

    Attributes:
        name: registry name.
        data: folder with train/ and val/.
        output: folder of all runs.
        start: options that tell where its weights start.
        steps: instead of the recipe's.
        failed: whether its process ended with an error.
    """

    name: str
    data: Path
    output: Path
    start: Sequence[str] = ()
    steps: int | None = None
    failed: bool = False
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def folder(self) -> Path:
        """Its checkpoints, weights and card."""
        return self.output / self.name

    @property
    def log(self) -> Path:
        """What its process says."""
        return self.output / f"{self.name}.log"

    @property
    def done(self) -> bool:
        """Whether its weights and their card are there."""
        return (self.folder / f"{self.name}.json").exists()

    def begin(self, threads: int) -> None:
        """Start or continue it in a process of its own."""
        words = ["--data", str(self.data), "--folder", str(self.folder), *self.start]
        if (self.folder / "checkpoint.pt").exists():
            words.append("--resume")
        if self.steps is not None:
            words += ["--steps", str(self.steps)]
        words += ["--threads", str(threads)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pipeline", "train", self.name, *words],
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches it through interrupt() alone, once
            )

    def ended(self) -> bool:
        """Whether its process has ended."""
        if self._process is None or self._process.poll() is None:
            return False
        self.failed = not self.done and self._process.returncode not in (0, 130)
        return True

    def interrupt(self) -> None:
        """Let it save a checkpoint and end."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)

    def wait(self) -> None:
        """Wait for the end of its process; one that does not save in time is killed."""
        if self._process is None:
            return
        try:
            self._process.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.ended()

    def outcome(self) -> str:
        """Say in a few words what became of it."""
        if self.done:
            card = json.loads((self.folder / f"{self.name}.json").read_text(encoding="utf-8"))
            return f"val mIoU {100 * card['val']['miou']:.1f}, {self.folder}"
        if self._process is None:
            return "not begun"
        said = self.log.read_text(encoding="utf-8", errors="replace").splitlines() or ["no output"]
        if self.failed:
            errors = [line for line in said if line.startswith("error: ")]
            return f"failed, {errors[-1] if errors else said[-1]} ({self.log})"
        return said[-1]


def run_all(runs: Sequence[Run], at_once: int, seconds: float | None = None) -> None:
    """Run trainings, ``at_once`` at a time in the given order; a failed one stops no other.

    When the time is over or at an interrupt they save their checkpoints.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    threads = max(1, len(os.sched_getaffinity(0)) // at_once)
    waiting = [run for run in runs if not run.done]
    active: list[Run] = []
    try:
        while (waiting or active) and (deadline is None or time.monotonic() < deadline):
            active = [run for run in active if not run.ended()]
            while waiting and len(active) < at_once:
                run = waiting.pop(0)
                run.output.mkdir(parents=True, exist_ok=True)
                run.begin(threads)
                active.append(run)
            time.sleep(_POLL_SECONDS)
    except KeyboardInterrupt:
        pass
    finally:
        for run in active:
            run.interrupt()
        for run in active:
            run.wait()
