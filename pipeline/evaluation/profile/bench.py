"""``bench``: the speed, memory and power of one engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from calibration.scenes.synthetic import SyntheticDrive
from models.classes import ClassSet
from models.scratch import scratch_folder
from pipeline.engine.manifest import Engine
from pipeline.evaluation.latency import Latency, latency_of, time_runs
from pipeline.evaluation.profile.limit import Limit, measure_limit
from pipeline.evaluation.profile.memory import peak_resident
from pipeline.evaluation.profile.power import PowerMeter
from pipeline.evaluation.profile.stages import StageTable, stage_table
from pipeline.runtimes.probe import LayerTime, probe_for
from pipeline.runtimes.session import Frames, Session
from pipeline.stream import StreamOptions, run
from pipeline.stream.frame import Frame, Result
from pipeline.stream.sinks import SinkOptions, open_sinks
from pipeline.stream.sources import open_source
from pipeline.stream.timing import Work

#: Stages of a stream from a file to an overlay video -> their names in the table.
STAGES = {"capture": "decode", "infer": "infer", "draw": "draw", "video": "encode"}
_CLIP_FPS = 25.0
#: Pictures drawn for a clip; they are repeated, since drawing is slow.
_DRAWN = 12
_SKIPPED = 5
_PROFILE_RUNS = 20


@dataclass(frozen=True)
class BenchReport:
    """What was measured.

    Attributes:
        engine, session: that were measured.
        frame: (width, height) of the frames.
        latency: of the engine alone, a batch per run.
        batch: frames in one run.
        end_to_end: from a file to an overlay video; None where it was not requested.
        limit: None where it was not requested, or the engine's work is not known.
        memory: peak bytes of this process after the first runs of the engine.
        watts: mean power while the engine ran; None where it cannot be measured.
        layers: None where they were not requested, or the runtime does not give them.
    """

    engine: Engine
    session: Session
    frame: tuple[int, int]
    latency: Latency
    batch: int
    end_to_end: StageTable | None
    limit: Limit | None
    memory: int
    watts: float | None
    layers: tuple[LayerTime, ...] | None = None

    @property
    def fps(self) -> float:
        """Frames per second of the engine alone."""
        return self.batch * self.latency.fps

    def to_json(self) -> dict[str, Any]:
        """Return the document of ``bench --json``."""
        capabilities, per_frame = self.session.capabilities, self.latency.p50 / self.batch
        joules = None if self.watts is None else self.watts / self.fps
        table = self.end_to_end
        return {
            "fps": self.fps,
            "latency_ms": self.latency.to_json(),
            "jitter_ms": self.latency.jitter,
            "runs": self.latency.runs,
            "batch": self.batch,
            "frame": list(self.frame),
            "runtime": capabilities.runtime,
            "precision": capabilities.precision,
            "device": capabilities.device,
            "end_to_end": table
            and {"fps": 1000 / table.interval, "share": self._share(table), **table.to_json()},
            "limit": self.limit and {"share": self.limit.share(per_frame), **self.limit.to_json()},
            "memory_mb": self.memory / 1e6,
            "watts": self.watts,
            "joules_per_frame": joules,
            "layers": self.layers and [vars(layer) for layer in self.layers],
        }

    def lines(self) -> list[str]:
        """Return the report as lines of text, without the layers."""
        capabilities, latency = self.session.capabilities, self.latency
        lines = [
            f"{self.fps:.1f} FPS at {self.frame[0]}x{self.frame[1]} in "
            f"{capabilities.precision.upper()} on {capabilities.device} ({capabilities.runtime})",
            f"latency p50 {latency.p50:.1f} ms, p95 {latency.p95:.1f} ms, p99 {latency.p99:.1f} "
            f"ms, jitter {latency.jitter:.1f} ms over {latency.runs} runs"
            + (f" of {self.batch} frames" if self.batch > 1 else ""),
            f"memory {self.memory / 1e6:.0f} MB at most",
        ]
        if self.limit is not None:
            lines.append(self.limit.words(latency.p50 / self.batch))
        if self.watts is not None:
            lines.append(f"{self.watts:.2f} W, {self.watts / self.fps:.3f} J per frame")
        if (table := self.end_to_end) is not None:
            share = self._share(table)
            lines.append(
                f"from a file to an overlay video {1000 / table.interval:.1f} FPS, "
                f"{share:.2f} of the engine alone"
            )
            lines += table.lines()
        return lines

    def _share(self, table: StageTable) -> float:
        return 1000 / table.interval / self.fps


@dataclass(frozen=True)
class BenchOptions:
    """What to measure.

    Attributes:
        frame: (width, height); None for the network's own size.
        runs: most runs of the engine alone.
        seconds: time after which no further run of it starts.
        clip: frames of the file that is segmented from end to end; 0 for none.
        layers: time every layer.
        limit: measure the machine's limit.
    """

    frame: tuple[int, int] | None = None
    runs: int = 200
    seconds: float = 30.0
    clip: int = 60
    layers: bool = False
    limit: bool = True


def bench(
    engine: Engine,
    session: Session,
    options: BenchOptions,
    progress: Callable[[str, float], None],
) -> BenchReport:
    """Measure one engine on the synthetic drive."""
    size = engine.manifest.input
    width, height = options.frame or (max(size.width, 64), max(size.height, 64))
    batch = session.input_spec.shape[0] or 1
    picture = SyntheticDrive(width, height).frame(0)[0]
    frames = picture[None].repeat(batch, axis=0)
    # Half of the runs before the clip and half after it, since a machine's speed changes.
    seconds, runs = options.seconds / 2, (options.runs + 1) // 2
    progress("the engine alone", 0.0)
    with PowerMeter() as power:
        times = time_runs(session, frames, seconds, runs)
    memory = peak_resident()
    table = None
    if options.clip:
        progress("from a file to a video", 0.3)
        table = end_to_end(session, engine.manifest.classes, (width, height), options.clip)
    progress("the engine alone", 0.5)
    latency = latency_of(times + time_runs(session, frames, seconds, runs))
    report = BenchReport(
        engine, session, (width, height), latency, batch, table, None, memory, power.watts
    )
    return _probed(report, frames, options, progress)


def _probed(
    report: BenchReport,
    frames: Frames,
    options: BenchOptions,
    progress: Callable[[str, float], None],
) -> BenchReport:
    probe = probe_for(report.engine.manifest.runtime)
    if probe is None:
        return report
    if options.limit:
        progress("the machine's limit", 0.7)
        report = replace(report, limit=measure_limit(probe, report.engine))
    if options.layers:
        progress("layers", 0.9)
        layers = probe.layers(report.engine, frames, _PROFILE_RUNS)
        report = replace(report, layers=tuple(layers))
    return report


class StageRecorder:
    """Keeps the work of a stream in memory; it takes the place of a trace."""

    def __init__(self) -> None:
        self.work: list[Work] = []

    def of(self, _source: str) -> Callable[[Work], None]:
        """Return the function that records work of a source; it may be called in any thread."""
        return self.work.append


def end_to_end(
    session: Session, classes: ClassSet, size: tuple[int, int], frames: int
) -> StageTable | None:
    """Segment a drawn clip of ``size`` (width, height) to an overlay video; both are temporary."""
    with scratch_folder("roadseg-bench-") as folder:
        clip = Path(folder, "clip.mp4")
        write_clip(clip, size, frames)
        return stream_file(session, classes, clip, Path(folder, "out.mp4"))


def stream_file(session: Session, classes: ClassSet, clip: Path, output: Path) -> StageTable | None:
    """Segment a video file to an overlay video, and return the time of each stage."""
    recorder = StageRecorder()
    source = open_source(str(clip))
    sinks = open_sinks([str(output)], SinkOptions(classes, source.name, source.fps, force=True))
    run(session, source, sinks, StreamOptions(classes, trace=recorder))
    return stage_table(recorder.work, STAGES, _SKIPPED)


def write_clip(path: Path, size: tuple[int, int], frames: int) -> None:
    """Write a video of the synthetic drive, the same on every machine."""
    drive = SyntheticDrive(*size)
    pictures = [drive.frame(index)[0] for index in range(min(frames, _DRAWN))]
    nothing = np.zeros((1, 1), np.uint8)
    [sink] = open_sinks([str(path)], SinkOptions(fps=_CLIP_FPS))
    with sink:
        for index in range(frames):
            picture = pictures[index % len(pictures)]
            frame = Frame(picture, index, 0.0, f"{index:06d}")
            sink.write(Result(frame, nothing, 0.0, overlay=picture))
