"""Where the time of a frame goes: every stage, and the waiting between them.

Stages work at the same time, each on another frame, so their times do not add up to 1 / FPS. They
do add up along the way of one frame: from the beginning of its decoding to the end of its
encoding it is either in a stage or waiting for the next one.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.stream.timing import Work

#: The row between stages.
WAITING = "waiting"


@dataclass(frozen=True)
class StageTable:
    """Mean milliseconds of a frame in each stage.

    Attributes:
        stages: name -> mean ms, in the order in which a frame meets them; the last is
            :data:`WAITING`. They add up to ``total``.
        total: mean ms from the beginning of the first stage to the end of the last.
        interval: mean ms between two frames that leave, 1000 / FPS.
        busy: share of the time in which each stage is at work, 0..1; the largest is the
            bottleneck. Frames that a stage takes together count once.
        frames: that were counted.
    """

    stages: dict[str, float]
    total: float
    interval: float
    busy: dict[str, float]
    frames: int

    def to_json(self) -> dict[str, Any]:
        """Return all fields."""
        return {
            "mean_ms": self.stages,
            "total_ms": self.total,
            "interval_ms": self.interval,
            "busy": self.busy,
            "frames": self.frames,
        }

    def lines(self) -> list[str]:
        """Return the table for a person."""
        rows = [
            f"  {name:<10}{ms:8.2f} ms"
            + (f"{self.busy[name]:8.0%} busy" if name in self.busy else "")
            for name, ms in self.stages.items()
        ]
        return [*rows, f"  {'together':<10}{self.total:8.2f} ms, decoding to encoded"]


def stage_table(work: Iterable[Work], names: dict[str, str], skip: int = 0) -> StageTable | None:
    """Sum up what each stage did to each frame.

    Args:
        work: of all stages, in any order.
        names: what stages are called in the table, such as ``{"capture": "decode"}``; frames that
            were not in all of these stages are left out.
        skip: frames at the beginning that do not count: buffers and caches fill then.

    Returns:
        None when fewer than two frames are left.
    """
    frames: defaultdict[int, list[Work]] = defaultdict(list)
    for one in work:
        if one.stage in names:
            frames[one.frame].append(one)
    whole = sorted(index for index, done in frames.items() if len(done) == len(names))[skip:]
    if len(whole) < 2:
        return None
    stages = {
        name: statistics.fmean(_ms_in(stage, frames[index]) for index in whole)
        for stage, name in names.items()
    }
    ended = [max(one.ended for one in frames[index]) for index in whole]
    began = [min(one.began for one in frames[index]) for index in whole]
    total = statistics.fmean(e - b for b, e in zip(began, ended, strict=True)) * 1e3
    stages[WAITING] = total - sum(stages.values())
    interval = (max(ended) - min(ended)) / (len(ended) - 1) * 1e3
    counted = [one for index in whole for one in frames[index]]
    span = max(ended) - min(began)
    busy = {name: _covered(stage, counted) / span for stage, name in names.items()}
    return StageTable(stages, total, interval, busy, len(whole))


def _ms_in(stage: str, work: Sequence[Work]) -> float:
    return sum(one.ended - one.began for one in work if one.stage == stage) * 1e3


def _covered(stage: str, work: Sequence[Work]) -> float:
    """Seconds in which a stage was at work; work on several frames at once counts once."""
    return sum(
        ended - began for began, ended in {(w.began, w.ended) for w in work if w.stage == stage}
    )
