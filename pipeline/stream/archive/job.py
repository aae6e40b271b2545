"""The archive job: plans sources, cuts them into segments, and commits every segment."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.engine.manifest import Manifest
from pipeline.errors import RoadsegError, in_words
from pipeline.progress import frame_bar
from pipeline.stream.archive.cluster import cluster
from pipeline.stream.archive.collector import Collector, SourceWork
from pipeline.stream.archive.flow import planned, results
from pipeline.stream.archive.folder import ArchiveFolder, Contents
from pipeline.stream.archive.places import fingerprint
from pipeline.stream.archive.plan import Plan
from pipeline.stream.archive.worker import Work, planned_here


@dataclass(frozen=True)
class ArchiveOptions:
    """Options of a job.

    Attributes:
        output: folder of the archive.
        address: of a Ray cluster; None to start Ray on this machine.
        workers: number of sessions; None for as many as fit.
        progress: whether a bar is shown.
    """

    output: Path
    address: str | None = None
    workers: int | None = None
    progress: bool = False


@dataclass
class ArchiveReport:
    """The result of a job.

    Attributes:
        frames, segments: committed by this run.
        before: segments committed by earlier runs.
        seconds: duration of this run.
        sources: by address: ``frames``, ``state`` (``done``, ``failed``), ``problems``.
        path: of the report's file.
    """

    frames: int = 0
    segments: int = 0
    before: int = 0
    seconds: float = 0.0
    sources: dict[str, dict[str, Any]] = field(default_factory=dict)
    path: Path | None = None

    @property
    def problems(self) -> list[str]:
        """One line each, of all sources."""
        return [line for one in self.sources.values() for line in one["problems"]]

    def lines(self) -> list[str]:
        """Return a summary for people, without the problems."""
        done = [one for one in self.sources.values() if one["state"] == "done"]
        rate = f", {self.frames / self.seconds:.1f} a second" if self.frames else ""
        return [
            f"{self.frames} frames in {self.segments} segments now{rate}",
            f"{sum(one['frames'] for one in done)} frames of {len(done)} of {len(self.sources)} "
            f"sources are archived; {self.path} lists each source",
        ]

    def to_json(self) -> dict[str, Any]:
        return {
            "frames": self.frames,
            "segments": self.segments,
            "segments_before": self.before,
            "seconds": round(self.seconds, 3),
            "sources": self.sources,
        }


def archive(
    sources: Sequence[str], manifest: Manifest, work: Work, options: ArchiveOptions
) -> ArchiveReport:
    """Archive sources until each is done or has failed.

    Args:
        sources: addresses, as ``places.expand`` returns them.
        manifest: of the engine.
        work: for the workers.
        options: of the job.

    Raises:
        OutputError: the folder is not ours, or cannot be written; committed segments stay.
        RuntimeMissingError: Ray is missing or does not answer.
        EngineError: the engine cannot be loaded on a worker.
    """
    contents = Contents.of(manifest, work.every, work.masks, work.overlay)
    folder = ArchiveFolder(options.output, contents)
    try:
        began = time.monotonic()
        job = _Job(folder, work, options)
        to_do = job.look_for(sources)
        if to_do:
            on_gpu = manifest.runtime.startswith("tensorrt")
            with cluster(options.address, options.workers, on_gpu) as workers:
                job.run(to_do, workers, on_gpu)
        job.report.seconds = time.monotonic() - began
        job.report.path = folder.write_report(job.report.to_json())
        return job.report
    finally:
        folder.close()


class _Job:
    def __init__(self, folder: ArchiveFolder, work: Work, options: ArchiveOptions) -> None:
        self._folder = folder
        self._work = work
        self._options = options
        self.report = ArchiveReport()

    def look_for(self, sources: Sequence[str]) -> list[str]:
        """Return the sources that are not done; the others go into the report."""
        to_do = []
        for source in sources:
            done = self._folder.source(source).done()
            if done is None:
                to_do.append(source)
            else:
                self._note(source, "done", done["problems"], done["frames"])
        return to_do

    def run(self, sources: Sequence[str], workers: int, on_gpu: bool) -> None:
        """Archive sources; one whose segments do not fit together is done again as a whole."""
        waiting = self._begin(sources)
        while waiting:
            self._pass(waiting, workers, on_gpu)
            again = {}
            for source, one in waiting.items():
                if one.torn and not one.plan.whole:
                    again[source] = one.read_as_a_whole()
                else:
                    self._end(source, one)
            waiting = again

    def _begin(self, sources: Sequence[str]) -> dict[str, SourceWork]:
        plans: dict[str, Plan] = {}
        new = []
        for source in sources:
            folder = self._folder.source(source)
            try:
                folder.tidy()
                plan = folder.plan(fingerprint(source)) if folder.path.exists() else None
            except RoadsegError as error:
                self._note(source, "failed", [in_words(error)])
                continue
            if plan is None:
                new.append(source)
            else:
                plans[source] = plan
        # On one machine, planning here is faster than starting a worker process.
        plan_all = planned if self._options.address else planned_here
        for source, answer in plan_all(new, self._work):
            if "failed" in answer:
                self._note(source, "failed", [answer["failed"]])
                continue
            plans[source] = Plan.from_json(json.loads(answer["plan"]))
            self._folder.source(source).write_plan(plans[source])
        waiting = {s: SourceWork.begin(self._folder.source(s), p) for s, p in plans.items()}
        self.report.before = sum(
            len(one.plan.segments) - len(one.missing) for one in waiting.values()
        )
        return waiting

    def _pass(self, waiting: Mapping[str, SourceWork], workers: int, on_gpu: bool) -> None:
        collector = Collector(self._folder.contents, waiting)
        for one in waiting.values():
            if not one.missing:  # an earlier run was killed after the last segment
                collector.finish(one)
        segments = [(one.plan, segment) for one in waiting.values() for segment in one.segments()]
        expected = _expected(waiting, self._work.every)
        with frame_bar(expected, self._options.progress) as show:
            for row in results(segments, self._work, workers, on_gpu) if segments else ():
                collector.add(row)
                show(collector.frames, f"{collector.segments} of {len(segments)} segments")
        self.report.frames += collector.frames
        self.report.segments += collector.segments

    def _end(self, source: str, one: SourceWork) -> None:
        done = one.folder.done()
        if done is not None:
            self._note(source, "done", done["problems"], done["frames"])
        else:
            reason = one.failed or one.torn or f"{len(one.missing)} segments are missing"
            self._note(source, "failed", [reason if source in reason else f"{source}: {reason}"])

    def _note(self, source: str, state: str, problems: list[str], frames: int = 0) -> None:
        self.report.sources[source] = {"state": state, "frames": frames, "problems": problems}


def _expected(waiting: Mapping[str, SourceWork], every: int) -> int | None:
    counts = [segment.count for one in waiting.values() for segment in one.segments()]
    known = [count for count in counts if count is not None]
    return sum(known) // every if len(known) == len(counts) else None
