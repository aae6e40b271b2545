"""One set of buffers of a TensorRT session: a run lives in it from its frames to its class maps."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np

from pipeline.runtimes.session import Frames, Pictures
from pipeline.runtimes.tensorrt.cuda.gpu import DeviceMemory, Event, Gpu, HostMemory


class PinnedBuffer:
    """A place for bytes on both sides, that grows when it has to.

    Attributes:
        mapped: both sides are the same bytes of the processor's memory, and nothing is copied.
    """

    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu
        self.mapped = False
        self._held = ExitStack()
        self.size = 0
        self.host: HostMemory
        self.device: DeviceMemory

    def fit(self, size: int) -> None:
        """Make it hold ``size`` bytes; what was there is lost. Nothing may be under way."""
        if size <= self.size:
            return
        self.release()
        with ExitStack() as stack:
            self.host = self._gpu.host_memory(size)
            stack.callback(self.host.release)
            self.device = self.host
            if not self.mapped:
                self.device = self._gpu.device_memory(size)
                stack.callback(self.device.release)
            self._held = stack.pop_all()
        self.size = size

    def release(self) -> None:
        """Give it back."""
        self.size = 0
        held, self._held = self._held, ExitStack()
        held.close()


class BufferSet:
    """Pinned buffers for ``frames``, ``classes`` and ``blended``; moments of a run as events."""

    #: Names of the steps between two moments.
    STEPS = ("copy in", "execute", "paint", "copy out")

    def __init__(self, gpu: Gpu, stack: ExitStack) -> None:
        self.frames, self.classes, self.blended = (
            PinnedBuffer(gpu),
            PinnedBuffer(gpu),
            PinnedBuffer(gpu),
        )
        for buffer in (self.frames, self.classes, self.blended):
            stack.callback(buffer.release)
        (
            self.began,
            self.loaded,
            self.ready,
            self.executed,
            self.painted,
            self.leaving,
            self.done,
        ) = (_event(gpu, stack) for _ in range(7))
        #: (N, H, W, 3) of the frames, and how many of them were filled up.
        self.shape: tuple[int, int, int, int] = (0, 0, 0, 0)
        self.wanted = 0
        self.paints = False

    def map(self, mapped: bool) -> None:
        """Let the GPU read frames and write class maps in place, or not; nothing is under way.

        Pictures stay the GPU's own: the kernel that paints them writes single bytes.
        """
        for buffer in (self.frames, self.classes):
            if buffer.mapped != mapped:
                buffer.release()
                buffer.mapped = mapped

    def fill(self, frames: Frames, count: int) -> None:
        """Take a copy of the frames; the last is repeated until there are ``count``."""
        self.wanted = len(frames)
        self.shape = (max(count, len(frames)), *frames.shape[1:])
        self.frames.fit(int(np.prod(self.shape)))
        target = self.frames.host.array[: int(np.prod(self.shape))].reshape(self.shape)
        target[: self.wanted] = frames
        target[self.wanted :] = frames[-1]

    def taken_classes(self, size: tuple[int, int]) -> Frames:
        """Copy the class maps out of the buffers."""
        shape = (self.wanted, *size)
        return self.classes.host.array[: int(np.prod(shape))].reshape(shape).copy()

    def taken_pictures(self) -> Pictures | None:
        """Copy the pictures out of the buffers, where it painted."""
        if not self.paints:
            return None
        shape = (self.wanted, *self.shape[1:])
        return self.blended.host.array[: int(np.prod(shape))].reshape(shape).copy()

    def times(self) -> dict[str, float]:
        """Milliseconds of each step; the run is done."""
        steps = (
            ("copy in", self.began, self.loaded),
            ("execute", self.ready, self.executed),
            ("paint", self.executed, self.painted),
            ("copy out", self.leaving, self.done),
        )
        return {
            name: end.milliseconds_since(start)
            for name, start, end in steps
            if name != "paint" or self.paints
        }


def _event(gpu: Gpu, stack: ExitStack) -> Event:
    event = gpu.event()
    stack.callback(event.release)
    return event
