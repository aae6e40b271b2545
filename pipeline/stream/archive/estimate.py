"""Estimates a job before it is started: frames, segments and time."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.stream.archive.plan import Plan
from pipeline.stream.archive.worker import Segmenter, Work, decode, planned_here


@dataclass
class Estimate:
    """The size of a job.

    Attributes:
        sources, segments, frames: to be processed; unknown numbers of frames are not counted.
        whole: sources that cannot be cut, with the reason.
        problems: sources that cannot be read, one line each.
        frame_seconds: processor time for decoding and segmenting a frame.
        workers: that share the work.
    """

    sources: int = 0
    segments: int = 0
    frames: int = 0
    whole: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    frame_seconds: float | None = None
    workers: int = 1

    @property
    def seconds(self) -> float | None:
        """Expected seconds, without the start of the workers."""
        if self.frame_seconds is None:
            return None
        return self.frames * self.frame_seconds / self.workers

    def to_json(self) -> dict[str, Any]:
        return {
            "sources": self.sources,
            "segments": self.segments,
            "frames": self.frames,
            "whole": self.whole,
            "problems": self.problems,
            "frame_ms": None if self.frame_seconds is None else round(self.frame_seconds * 1e3, 2),
            "workers": self.workers,
            "seconds": None if self.seconds is None else round(self.seconds, 1),
        }

    def lines(self) -> list[str]:
        lines = [f"{self.frames} frames of {self.sources} sources in {self.segments} segments"]
        lines += [f"{source} is read as a whole: {why}" for source, why in self.whole.items()]
        if self.seconds is not None and self.frame_seconds is not None:
            lines.append(
                f"{self.frame_seconds * 1e3:.1f} ms of processor time a frame, by {self.workers} "
                f"workers about {_clock(self.seconds)}"
            )
        return lines


def estimate(sources: Sequence[str], work: Work, workers: int | None) -> Estimate:
    """Plan sources without writing anything, and measure a few frames of the first one.

    Args:
        sources: addresses.
        work: for the workers.
        workers: number of sessions; None for one per core.

    Raises:
        EngineError: the engine cannot be loaded here.
    """
    found = Estimate(workers=workers or len(os.sched_getaffinity(0)))
    sample: Plan | None = None
    for source, answer in planned_here(sources, work):
        if "failed" in answer:
            found.problems.append(answer["failed"])
            continue
        plan = Plan.from_json(json.loads(answer["plan"]))
        found.sources += 1
        found.segments += len(plan.segments)
        found.frames += -(-(plan.frames or 0) // work.every)
        if plan.whole:
            found.whole[source] = plan.whole
        sample = sample or plan
    if sample is not None:
        found.frame_seconds = _frame_seconds(sample, work)
    return found


def _frame_seconds(plan: Plan, work: Work) -> float | None:
    """Return the processor time per frame of the first chunk, which is segmented twice."""
    segmenter = Segmenter(work)
    began = time.process_time()
    chunk = next(decode(plan, plan.segments[0], work))
    decoding = time.process_time() - began
    count = len(chunk["index"][0])
    if not count:
        return None
    list(segmenter(chunk))
    began = time.process_time()
    list(segmenter(chunk))
    return (decoding + time.process_time() - began) / count


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
