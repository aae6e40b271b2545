"""What a stream did, in numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from pipeline.timing import Summary


@dataclass(frozen=True)
class SinkReport:
    """One sink: its kind, where it wrote (None: nowhere), frames it took, frames it dropped."""

    sink: str
    output: str | None
    frames: int
    dropped: int


@dataclass(frozen=True)
class StreamReport:
    """A finished run; ages and stage times in milliseconds, None where nothing was measured.

    Attributes:
        frames: shown by at least one sink.
        dropped: captured and never shown; ``read`` = ``frames`` + ``dropped``.
        read: captured.
        promised: frames that the container or directory promises, None where it does not say.
        skipped: pictures that could not be read.
        seconds: from start to end.
        fps: (N - 1) / (last - first) over the shown frames.
        frame_age_ms: capture to shown by the last sink: ``p50``, ``p95``, ``p99``.
        result_age_ms: capture to class map ready, likewise.
        stages_ms: per stage, likewise; ``capture`` of a live source includes waiting for it.
        sinks: one per sink.
        problems: a line each about lost frames; not empty means exit status 1.
        stopped: ended by the stop event before the source did.
    """

    frames: int
    dropped: int
    read: int
    promised: int | None
    skipped: int
    seconds: float
    fps: float | None
    frame_age_ms: Summary
    result_age_ms: Summary
    stages_ms: dict[str, Summary]
    sinks: tuple[SinkReport, ...]
    problems: tuple[str, ...]
    stopped: bool

    @property
    def outputs(self) -> tuple[str, ...]:
        """Paths that hold at least one result."""
        return tuple(sink.output for sink in self.sinks if sink.output and sink.frames)

    def to_json(self) -> dict[str, Any]:
        """All fields and ``outputs``, ready for ``json.dumps``."""
        return {**asdict(self), "outputs": list(self.outputs)}

    def lines(self) -> list[str]:
        """Return the summary for a person."""
        rate = "" if self.fps is None else f", {self.fps:.1f} fps"
        counted = f"{self.frames} frames in {self.seconds:.1f} s{rate}, {self.dropped} dropped"
        rows = {"frame age": self.frame_age_ms, "result age": self.result_age_ms}
        rows.update(self.stages_ms)
        width = max(map(len, rows))
        table = [
            f"{name:<{width}}  "
            + "  ".join("       -" if ms is None else f"{ms:8.2f}" for ms in row.values())
            for name, row in rows.items()
        ]
        header = f"{'ms':<{width}}  " + "  ".join(f"{name:>8}" for name in self.frame_age_ms)
        return [counted, header, *table, *(f"wrote {output}" for output in self.outputs)]
