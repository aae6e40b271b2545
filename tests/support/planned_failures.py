"""The failure to inject into a process of ``forked_runs``, and how the process ended."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Plan:
    """The failure: call number ``place`` (-1: none) with ``error``, or the work that it starts."""

    place: int
    error: int
    late: bool = False


@dataclass(frozen=True)
class Result:
    """How one process ended.

    Attributes:
        status: its exit status, negative for a signal.
        said: lines written to standard error.
        calls: number of driver calls; ``failed``: the name of the call that was made to fail.
        lost: the error for which the driver gave up on the process, 0 for none.
        held: what was never released.
        complaints: things a program should not do.
        masks: hash over names and contents of the files it wrote into the folder MASKS.
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
