"""One engine for many sources: whose frame is next, and which frames go together."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from pipeline.errors import EngineError
from pipeline.frame import Frame, Result
from pipeline.sessions.base import Pending, Session
from pipeline.stream.lane import Lane

#: Longest time in seconds until a failure elsewhere is noticed.
_LOOK_AROUND = 0.05


@dataclass(frozen=True)
class _Run:
    """Frames that the session has; ``began`` in seconds of ``time.monotonic()``."""

    batch: list[tuple[Lane, Frame]]
    began: float
    pending: Pending


class Inference:
    """Takes frames from lanes in turn and gives them class maps.

    Among lanes that have a frame, the one that has waited for its turn longest is next. Where the
    session takes batches, frames of equal size that are ready at that moment go along in the same
    run; nobody waits for a batch to fill.

    While one run computes, a session that can takes the next frames already. Only files profit: a
    camera's frame would wait there and be an old one when its turn comes, so as long as there is a
    live lane, one run is under way at a time.

    Args:
        session: used by the thread that calls ``run`` alone.
        lanes: asked for frames.
        bell: set when a lane may have one.
        failed: set when the stream has failed.
    """

    def __init__(
        self,
        session: Session,
        lanes: Sequence[Lane],
        bell: threading.Event,
        failed: threading.Event,
    ) -> None:
        self._session = session
        #: Those that have not ended; the one that was served longest ago comes first.
        self._queue = list(lanes)
        self._bell = bell
        self._failed = failed
        self._under_way: deque[_Run] = deque()
        self._last = 0.0

    def run(self) -> None:
        """Work until all lanes have ended."""
        try:
            while True:
                batch = self._next_batch()
                if batch:
                    self._submit(batch)
                elif not self._under_way:
                    return
                if not batch or len(self._under_way) >= self._most():
                    self._collect()
        finally:
            # The session goes on living, and must not find runs of this stream in its way.
            for run in self._under_way:
                with suppress(EngineError):
                    run.pending.result()

    def _most(self) -> int:
        if any(lane.source.live for lane in self._queue):
            return 1
        return self._session.capabilities.in_flight

    def _next_batch(self) -> list[tuple[Lane, Frame]]:
        """Wait for frames; nothing when there will be none, or while a run is under way."""
        while True:
            self._bell.clear()  # before looking: what changes while we look rings it again
            self._let_go()
            if not self._queue or self._failed.is_set():
                return []
            if batch := self._gather():
                return batch
            if self._under_way:
                return []
            self._bell.wait(_LOOK_AROUND)

    def _let_go(self) -> None:
        busy = [lane for run in self._under_way for lane, _ in run.batch]
        for lane in list(self._queue):
            if lane.admission == "closed" and lane not in busy:  # its last frame is still to come
                self._queue.remove(lane)
                lane.finish()

    def _gather(self) -> list[tuple[Lane, Frame]]:
        batch: list[tuple[Lane, Frame]] = []
        # A session that takes a fixed number at once gets as many; a free dimension takes one of
        # each lane.
        most = self._session.input_spec.shape[0] or len(self._queue)

        def fits(frame: Frame) -> bool:
            return not batch or frame.image.shape == batch[0][1].image.shape

        def take(lane: Lane) -> bool:
            if len(batch) == most or lane.admission != "open":
                return False
            if (frame := lane.take_if(fits)) is None:
                return False
            batch.append((lane, frame))
            return True

        served = [lane for lane in self._queue if take(lane)]
        # What is left of a fixed number goes to files: of a camera only the newest frame counts.
        for lane in served if self._session.input_spec.shape[0] else ():
            while not lane.source.live and take(lane):
                pass
        self._queue = [lane for lane in self._queue if lane not in served] + served
        return batch

    def _submit(self, batch: list[tuple[Lane, Frame]]) -> None:
        began = time.monotonic()
        images = [frame.image for _, frame in batch]
        frames = images[0][None] if len(images) == 1 else np.stack(images)
        tint = next((lane.tint for lane, _ in batch if lane.tint is not None), None)
        self._under_way.append(_Run(batch, began, self._session.submit(frames, tint)))

    def _collect(self) -> None:
        """Hand out what the oldest run gives."""
        run = self._under_way.popleft()
        segmented = run.pending.result()
        finished = time.monotonic()
        # A run that waited for the one before it began to compute when that one was done.
        began = max(run.began, self._last)
        self._last = finished
        for place, (lane, frame) in enumerate(run.batch):
            pictures = segmented.pictures if lane.tint is not None else None
            blended = None if pictures is None else pictures[place]
            result = Result(frame, segmented.classes[place], finished, blended=blended)
            lane.accept(result, began)
