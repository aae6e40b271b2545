"""The state of a running stream at one moment."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.stream.health import SourceHealth
from pipeline.stream.timing import Summary


@dataclass(frozen=True)
class SinkStatus:
    """One sink so far.

    Attributes:
        name: its stage name, such as ``video`` or ``masks-2``.
        written: frames it took.
        dropped: frames it was too slow for.
        failed: why it failed; None while it works.
    """

    name: str
    written: int
    dropped: int
    failed: str | None = None


@dataclass(frozen=True)
class StreamStatus:
    """One camera's stream so far; times in milliseconds, None where nothing was measured.

    Attributes:
        source: name, without passwords.
        live: a camera: only the newest frame counts. A file loses nothing.
        health: whether the source delivers frames.
        running: seconds since the start.
        read: frames captured; ``shown`` + ``dropped`` + those under way.
        shown: frames that at least one sink took.
        dropped: frames that no sink took.
        fps: of shown frames, over the last of them.
        frame_age_ms: capture to shown, ``p50``, ``p95``, ``p99`` over the last of them.
        result_age_ms: capture to class map ready, likewise.
        stages_ms: per stage, likewise over the whole run.
        sinks: one per sink.
    """

    source: str
    live: bool
    health: SourceHealth
    running: float
    read: int
    shown: int
    dropped: int
    fps: float | None
    frame_age_ms: Summary
    result_age_ms: Summary
    stages_ms: dict[str, Summary]
    sinks: tuple[SinkStatus, ...]
