"""What a stream did, in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from pipeline.stream.timing import Rate, StageTimes, Summary, Times


@dataclass(frozen=True)
class SinkReport:
    """One sink: its kind, its output if there is one, frames written and dropped."""

    sink: str
    output: str | None
    frames: int
    dropped: int
    failed: bool = False


@dataclass(frozen=True)
class Figures:
    """What was counted and measured; times in milliseconds, None where nothing was measured.

    Attributes:
        frames: shown by at least one sink.
        dropped: captured and never shown; ``read`` = ``frames`` + ``dropped``.
        read: captured, including a camera's frames that were replaced before they were read.
        promised: frames that the container or directory states; None where it states none.
        skipped: pictures that could not be read.
        fps: (N - 1) / (last - first) over the shown frames.
        frame_age_ms: capture to shown by the last sink: ``p50``, ``p95``, ``p99``.
        result_age_ms: capture to class map ready, likewise.
        stages_ms: per stage, likewise; ``capture`` of a live source includes waiting for it.
        sinks: one per sink.
        problems: a line each about lost frames, sources and sinks; not empty means exit status 1.
    """

    frames: int
    dropped: int
    read: int
    promised: int | None
    skipped: int
    fps: float | None
    frame_age_ms: Summary
    result_age_ms: Summary
    stages_ms: dict[str, Summary]
    sinks: tuple[SinkReport, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class SourceReport(Figures):
    """One source's part of a run.

    Attributes:
        source: its name.
        live: the newest frame won; otherwise nothing was lost.
        gaps, reconnects, lost_seconds: as in ``SourceHealth``.
        cut_short: stopped before its end, or before the frames that were asked for.
    """

    source: str
    live: bool
    gaps: int
    reconnects: int
    lost_seconds: float
    cut_short: bool = False


@dataclass(frozen=True)
class StreamReport(Figures):
    """A finished run: figures of all sources together, and of each.

    Attributes:
        seconds: from start to end.
        stopped: ended by the stop event before the sources did.
        sources: one per source.
    """

    seconds: float
    stopped: bool
    sources: tuple[SourceReport, ...]

    @property
    def outputs(self) -> tuple[str, ...]:
        """Finished outputs with at least one result."""
        finished = (sink for sink in self.sinks if not sink.failed and sink.frames)
        return tuple(sink.output for sink in finished if sink.output)

    def to_json(self) -> dict[str, Any]:
        """All fields and ``outputs``, ready for ``json.dumps``."""
        return {**asdict(self), "outputs": list(self.outputs)}

    def lines(self) -> list[str]:
        rate = "" if self.fps is None else f", {self.fps:.1f} fps"
        counted = f"{self.frames} frames in {self.seconds:.1f} s{rate}, {self.dropped} dropped"
        each = [_line(one) for one in self.sources] if len(self.sources) > 1 else []
        rows = {"frame age": self.frame_age_ms, "result age": self.result_age_ms}
        rows.update(self.stages_ms)
        width = max(map(len, rows))
        table = [
            f"{name:<{width}}  "
            + "  ".join("       -" if ms is None else f"{ms:8.2f}" for ms in row.values())
            for name, row in rows.items()
        ]
        header = f"{'ms':<{width}}  " + "  ".join(f"{name:>8}" for name in self.frame_age_ms)
        return [counted, *each, header, *table, *(f"wrote {output}" for output in self.outputs)]


@dataclass
class Measured:
    """Counts and distributions of one source, before percentiles are taken."""

    read: int = 0
    shown: int = 0
    dropped: int = 0
    promised: int | None = 0
    skipped: int = 0
    rate: Rate = field(default_factory=Rate)
    frame_age: Times = field(default_factory=Times)
    result_age: Times = field(default_factory=Times)
    stages: StageTimes = field(default_factory=StageTimes)
    sinks: tuple[SinkReport, ...] = ()
    problems: tuple[str, ...] = ()

    def figures(self) -> dict[str, Any]:
        """Return the fields of ``Figures``."""
        fps = self.rate.per_second
        return {
            "frames": self.shown,
            "dropped": self.dropped,
            "read": self.read,
            "promised": self.promised,
            "skipped": self.skipped,
            "fps": None if fps is None else round(fps, 3),
            "frame_age_ms": self.frame_age.summary(),
            "result_age_ms": self.result_age.summary(),
            "stages_ms": self.stages.summary(),
            "sinks": self.sinks,
            "problems": self.problems,
        }


def total(parts: Sequence[Measured]) -> Measured:
    """Count all sources together."""
    known = [part.promised for part in parts if part.promised is not None]
    together = Measured(promised=sum(known) if len(known) == len(parts) else None)
    for part in parts:
        together.read += part.read
        together.shown += part.shown
        together.dropped += part.dropped
        together.skipped += part.skipped
        together.rate.absorb(part.rate)
        together.frame_age.absorb(part.frame_age)
        together.result_age.absorb(part.result_age)
        together.stages.absorb(part.stages)
        together.sinks += part.sinks
        together.problems += part.problems
    return together


def _line(one: SourceReport) -> str:
    rate = "" if one.fps is None else f", {one.fps:.1f} fps"
    age = one.frame_age_ms["p50"]
    shown = "" if age is None else f", age {age:.0f} ms"
    gaps = f", lost {one.gaps} times for {one.lost_seconds:.1f} s" if one.gaps else ""
    return f"  {one.source}: {one.frames} frames{rate}, {one.dropped} dropped{shown}{gaps}"
