"""Whether a source delivers frames, at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: ``live``: frames come. ``lost``: none come, and it is being reconnected. ``ended``: no more.
State = Literal["live", "lost", "ended"]


@dataclass(frozen=True)
class SourceHealth:
    """State of a source.

    Attributes:
        state: see :data:`State`; while ``lost``, the last picture is stale.
        since: seconds of ``time.monotonic()`` at which the state began.
        reconnects: how often it came back.
        gaps: how often it was lost; ``reconnects`` or one more.
        lost_seconds: total length of all gaps, including the present one.
    """

    state: State
    since: float
    reconnects: int = 0
    gaps: int = 0
    lost_seconds: float = 0.0
