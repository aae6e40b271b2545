"""What is to fail in a process of ``forked_runs``, and how the process ended."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Plan:
    """What is to fail: call number ``place`` (-1: none) with ``error``, or the work it begins."""

    place: int
    error: int
    late: bool = False


@dataclass(frozen=True)
class Result:
    """How one process ended.

    Attributes:
        status: its exit status, negative for a signal.
        said: lines on standard error.
        calls: of the driver, how many; ``failed``: the name of the one that was made to fail.
        lost: what the driver gave the process up for, 0 for nothing.
        held: what was never given back.
        complaints: what a program had better not do.
        masks: hash over the names and contents of what it wrote into the folder MASKS.
    """

    plan: Plan
    status: int
    said: tuple[str, ...]
    calls: int = 0
    failed: str = ""
    lost: int = 0
    held: str = ""
    complaints: tuple[str, ...] = ()
    masks: str = ""


def read_result(line: str) -> Result:
    """Read one line of this program's output."""
    values: dict[str, Any] = json.loads(line)
    for name in ("said", "complaints"):
        values[name] = tuple(values[name])
    return Result(**{**values, "plan": Plan(**values["plan"])})
