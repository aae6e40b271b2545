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
from pipeline.runtimes.session import Pending, Segmented, Session
from pipeline.stream.channel import Channel
from pipeline.stream.waiting import LOOK_AROUND


@dataclass(frozen=True)
class _Run:
    """Frames that the session has; ``began`` in seconds of ``time.monotonic()``."""

    batch: list[tuple[Channel, Frame]]
    began: float
    pending: Pending


class Inference:
    """Takes frames from channels in turn and gives them class maps.

    Among channels that have a frame, the one that has waited for its turn longest is next. Where
    the session takes batches, frames of equal size that are ready at that moment go along in the
    same run; nobody waits for a batch to fill.

    A channel whose frames the session refuses ends alone. Of a batch that fails, the frames of each
    channel are tried by themselves.

    While one run computes, a session that can takes the next frames already. Only files profit: a
    camera's frame would wait there and be an old one when its turn comes, so as long as there is a
    live channel, one run is under way at a time.

    Args:
        session: used by the thread that calls ``run`` alone.
        channels: asked for frames.
        wake_up: set when a channel may have one.
        failed: set when the stream has failed.
    """

    def __init__(
        self,
        session: Session,
        channels: Sequence[Channel],
        wake_up: threading.Event,
        failed: threading.Event,
    ) -> None:
        self._session = session
        #: Those that have not ended; the one that was served longest ago comes first.
        self._queue = list(channels)
        self._wake_up = wake_up
        self._failed = failed
        self._under_way: deque[_Run] = deque()
        self._last = 0.0

    def run(self) -> None:
        """Work until all channels have ended."""
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
        if any(channel.source.live for channel in self._queue):
            return 1
        return self._session.capabilities.in_flight

    def _next_batch(self) -> list[tuple[Channel, Frame]]:
        """Wait for frames; nothing when there will be none, or while a run is under way."""
        while True:
            self._wake_up.clear()  # before looking: what changes while we look sets it again
            self._let_go()
            if not self._queue or self._failed.is_set():
                return []
            if batch := self._gather():
                return batch
            if self._under_way:
                return []
            self._wake_up.wait(LOOK_AROUND)

    def _let_go(self) -> None:
        busy = [channel for run in self._under_way for channel, _ in run.batch]
        for channel in list(self._queue):
            # The last frame of a busy one is still to come.
            if channel.admission == "closed" and channel not in busy:
                self._queue.remove(channel)
                channel.finish()

    def _gather(self) -> list[tuple[Channel, Frame]]:
        batch: list[tuple[Channel, Frame]] = []
        # A session that takes a fixed number at once gets as many; a free dimension takes one of
        # each channel.
        most = self._session.input_spec.shape[0] or len(self._queue)

        def fits(frame: Frame) -> bool:
            return not batch or frame.image.shape == batch[0][1].image.shape

        def take(channel: Channel) -> bool:
            if len(batch) == most or channel.admission != "open":
                return False
            if (frame := channel.take_if(fits)) is None:
                return False
            batch.append((channel, frame))
            return True

        served = [channel for channel in self._queue if take(channel)]
        # What is left of a fixed number goes to files: of a camera only the newest frame counts.
        for channel in served if self._session.input_spec.shape[0] else ():
            while not channel.source.live and take(channel):
                pass
        self._queue = [channel for channel in self._queue if channel not in served] + served
        return batch

    def _submit(self, batch: list[tuple[Channel, Frame]]) -> None:
        began = time.monotonic()
        try:
            self._under_way.append(_Run(batch, began, self._begun(batch)))
        except Exception as error:  # what one camera sends must not be another's end
            self._isolate(batch, error)

    def _begun(self, batch: list[tuple[Channel, Frame]]) -> Pending:
        images = [frame.image for _, frame in batch]
        frames = images[0][None] if len(images) == 1 else np.stack(images)
        tint = next((channel.tint for channel, _ in batch if channel.tint is not None), None)
        return self._session.submit(frames, tint)

    def _collect(self) -> None:
        """Hand out what the oldest run gives."""
        run = self._under_way.popleft()
        try:
            segmented = run.pending.result()
        except Exception as error:
            self._isolate(run.batch, error)
        else:
            self._hand_out(run, segmented)

    def _hand_out(self, run: _Run, segmented: Segmented) -> None:
        finished = time.monotonic()
        # A run that waited for the one before it began to compute when that one was done.
        began = max(run.began, self._last)
        self._last = finished
        for place, (channel, frame) in enumerate(run.batch):
            pictures = segmented.pictures if channel.tint is not None else None
            blended = None if pictures is None else pictures[place]
            result = Result(frame, segmented.classes[place], finished, blended=blended)
            try:
                channel.accept(result, began)
            except Exception as error:
                channel.fail(error, [frame])

    def _isolate(self, batch: list[tuple[Channel, Frame]], error: Exception) -> None:
        """End the channels whose frames the session refuses, and those alone."""
        channels = list(dict.fromkeys(channel for channel, _ in batch))
        if len(channels) == 1:
            channels[0].fail(error, [frame for _, frame in batch])
            return
        while self._under_way:  # results are to be asked for in the order of the runs
            self._collect()
        for channel in channels:
            own = [(one, frame) for one, frame in batch if one is channel]
            self._submit(own)
            if self._under_way:
                self._collect()
