"""The time that a frame spends in each stage, and waiting between them.

Stages work at the same time on different frames, so their times do not add up to 1 / FPS. For one
frame they do add up: from the start of its decoding to the end of its encoding it is either in a
stage or waiting for the next one.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.stream.timing import Work

#: Name of the row for the time between stages.
WAITING = "waiting"


@dataclass(frozen=True)
class StageTable:
    """Mean milliseconds of a frame in each stage.

    Attributes:
        stages: name -> mean ms, in the order of a frame's way; the last is :data:`WAITING`. They
            add up to ``total``.
        total: mean ms from the start of the first stage to the end of the last.
        interval: mean ms between two finished frames, 1000 / FPS.
        busy: share of the time in which each stage works, 0..1; the largest is the bottleneck.
            Frames that a stage takes together count once.
        frames: number that was counted.
    """

    stages: dict[str, float]
    total: float
    interval: float
    busy: dict[str, float]
    frames: int

    def to_json(self) -> dict[str, Any]:
        return {
            "mean_ms": self.stages,
            "total_ms": self.total,
            "interval_ms": self.interval,
            "busy": self.busy,
            "frames": self.frames,
        }

    def lines(self) -> list[str]:
        """Return the table as lines of text."""
        rows = [
            f"  {name:<10}{ms:8.2f} ms"
            + (f"{self.busy[name]:8.0%} busy" if name in self.busy else "")
            for name, ms in self.stages.items()
        ]
        return [*rows, f"  {'together':<10}{self.total:8.2f} ms, decoding to encoding"]


def stage_table(work: Iterable[Work], names: dict[str, str], skip: int = 0) -> StageTable | None:
    """Compute mean times of the stages.

    Args:
        work: of all stages, in any order.
        names: stages and their names in the table, such as ``{"capture": "decode"}``; frames that
            were not in all of these stages are left out.
        skip: frames at the start that do not count, while buffers and caches fill.

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
    """Seconds in which a stage worked; work on several frames at once counts once."""
    return sum(
        ended - began for began, ended in {(w.began, w.ended) for w in work if w.stage == stage}
    )
