"""An environment with the wheel in it, and a user who works there."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Installed:
    """An environment with roadseg, and a user's folder with packages of the same names as ours.

    Attributes:
        python: its interpreter.
        folder: the user's, outside the checkout.
        cache: of this user.
    """

    python: Path
    folder: Path
    cache: Path

    def __call__(self, *command: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        """Run ``roadseg``, or Python if the first word is ``python``."""
        program = self.python if command[0] == "python" else self.python.with_name("roadseg")
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder)}
        done = subprocess.run(
            [program, *command[command[0] == "python" :]],
            cwd=self.folder,
            env={**environment, "ROADSEG_CACHE": str(self.cache)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stderr
        return done
