"""One session for many sources: whose frame is next, and which frames form a batch."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from pipeline.errors import EngineError
from pipeline.runtimes.session import Pending, Segmented, Session
from pipeline.stream.channel import Channel
from pipeline.stream.frame import Frame, Result
from pipeline.stream.waiting import POLL_INTERVAL


@dataclass(frozen=True)
class _Run:
    """A submitted batch; ``began`` in seconds of ``time.monotonic()``."""

    batch: list[tuple[Channel, Frame]]
    began: float
    pending: Pending


class Inference:
    """Takes frames from channels in turn and gives them class maps.

    Of the channels with a frame, the one served longest ago is next. If the session takes batches,
    frames of the same size that are ready at that moment join the batch; it never waits for more.

    If a batch fails, the frames of each channel are run again separately, and only a channel whose
    own frames fail ends.

    A session may accept the next batch while it computes one. That is used for files only: a
    camera's frame would grow old while it waits, so with a live channel one batch is under way at
    a time.

    Args:
        session: used only by the thread that calls ``run``.
        channels: asked for frames.
        wake_up: set when a channel may have a frame.
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
        #: Channels that have not ended; the one served longest ago comes first.
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
            # The session stays open; no batch of this stream may be left in it.
            for run in self._under_way:
                with suppress(EngineError):
                    run.pending.result()

    def _most(self) -> int:
        if any(channel.source.live for channel in self._queue):
            return 1
        return self._session.capabilities.in_flight

    def _next_batch(self) -> list[tuple[Channel, Frame]]:
        """Wait for frames; empty when none will come, or when a running batch can be collected."""
        while True:
            self._wake_up.clear()  # before looking, so that a change meanwhile sets it again
            self._remove_ended()
            if not self._queue or self._failed.is_set():
                return []
            if batch := self._gather():
                return batch
            if self._under_way:
                return []
            self._wake_up.wait(POLL_INTERVAL)

    def _remove_ended(self) -> None:
        busy = [channel for run in self._under_way for channel, _ in run.batch]
        for channel in list(self._queue):
            # A busy channel still waits for its last results.
            if channel.admission == "closed" and channel not in busy:
                self._queue.remove(channel)
                channel.finish()

    def _gather(self) -> list[tuple[Channel, Frame]]:
        batch: list[tuple[Channel, Frame]] = []
        # A fixed batch size is filled; a dynamic one takes one frame of each channel.
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
        # The rest of a fixed batch is filled from files: of a camera only the newest frame counts.
        for channel in served if self._session.input_spec.shape[0] else ():
            while not channel.source.live and take(channel):
                pass
        self._queue = [channel for channel in self._queue if channel not in served] + served
        return batch

    def _submit(self, batch: list[tuple[Channel, Frame]]) -> None:
        began = time.monotonic()
        images = [frame.image for _, frame in batch]
        tint = next((channel.tint for channel, _ in batch if channel.tint is not None), None)
        try:
            frames = images[0][None] if len(images) == 1 else np.stack(images)
            self._under_way.append(_Run(batch, began, self._session.submit(frames, tint)))
        except Exception as error:  # a bad frame of one channel must not end the others
            self._isolate(batch, error)

    def _collect(self) -> None:
        """Wait for the oldest batch and hand out its results."""
        run = self._under_way.popleft()
        try:
            segmented = run.pending.result()
        except Exception as error:
            self._isolate(run.batch, error)
        else:
            self._hand_out(run, segmented)

    def _hand_out(self, run: _Run, segmented: Segmented) -> None:
        finished = time.monotonic()
        # A batch that had to wait began to compute when the one before it was done.
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
        """Run a failed batch again channel by channel; end the channels that fail."""
        channels = list(dict.fromkeys(channel for channel, _ in batch))
        if len(channels) == 1:
            channels[0].fail(error, [frame for _, frame in batch])
            return
        while self._under_way:  # results must be asked for in the order of submission
            self._collect()
        for channel in channels:
            own = [(one, frame) for one, frame in batch if one is channel]
            self._submit(own)
            if self._under_way:
                self._collect()
