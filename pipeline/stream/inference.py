"""One engine for many sources: whose frame is next, and which frames go together."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import numpy as np

from pipeline.frame import Frame, Result
from pipeline.sessions.base import Session
from pipeline.stream.lane import Lane

#: Longest time in seconds until a failure elsewhere is noticed.
_LOOK_AROUND = 0.05


class Inference:
    """Takes frames from lanes in turn and gives them class maps.

    Among lanes that have a frame, the one that has waited for its turn longest is next. Where the
    session takes batches, frames of equal size that are ready at that moment go along in the same
    run; nobody waits for a batch to fill.

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

    def run(self) -> None:
        """Work until all lanes have ended."""
        while batch := self._next_batch():
            self._segment(batch)

    def _next_batch(self) -> list[tuple[Lane, Frame]]:
        """Wait for frames; nothing when there will be none."""
        while True:
            self._bell.clear()  # before looking: what changes while we look rings it again
            self._let_go()
            if not self._queue or self._failed.is_set():
                return []
            if batch := self._gather():
                return batch
            self._bell.wait(_LOOK_AROUND)

    def _let_go(self) -> None:
        for lane in list(self._queue):
            if lane.admission == "closed":
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
        # What is left goes to files: of a camera only the newest frame counts.
        for lane in served:
            while not lane.source.live and take(lane):
                pass
        self._queue = [lane for lane in self._queue if lane not in served] + served
        return batch

    def _segment(self, batch: list[tuple[Lane, Frame]]) -> None:
        began = time.monotonic()
        images = [frame.image for _, frame in batch]
        maps = self._session.run(images[0][None] if len(images) == 1 else np.stack(images))
        finished = time.monotonic()
        for (lane, frame), classes in zip(batch, maps, strict=True):
            lane.accept(Result(frame, classes, finished), began)
