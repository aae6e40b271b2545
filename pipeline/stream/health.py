"""Whether a source delivers, as a snapshot that any thread may take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: ``live``: delivers. ``lost``: does not, and is being reconnected. ``ended``: will not any more.
State = Literal["live", "lost", "ended"]


@dataclass(frozen=True)
class SourceHealth:
    """State of a source.

    Attributes:
        state: see :data:`State`; what is shown while ``lost`` is stale.
        since: seconds of ``time.monotonic()`` at which the state began.
        reconnects: times that it came back.
        gaps: times that it was lost; ``reconnects`` or one more.
        lost_seconds: without frames, all gaps together, the present one included.
    """

    state: State
    since: float
    reconnects: int = 0
    gaps: int = 0
    lost_seconds: float = 0.0
