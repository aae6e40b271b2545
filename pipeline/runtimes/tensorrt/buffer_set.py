"""One set of buffers of a TensorRT session, which a run uses from its frames to its class maps."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np

from pipeline.runtimes.session import Frames, Pictures
from pipeline.runtimes.tensorrt.cuda.gpu import DeviceMemory, Gpu, HostMemory


class PinnedBuffer:
    """Memory of the processor and of the GPU for the same bytes; it grows when it has to.

    Attributes:
        mapped: both are the same memory of the processor, and nothing is copied.
    """

    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu
        self.mapped = False
        self._held = ExitStack()
        self.size = 0
        self.host: HostMemory
        self.device: DeviceMemory

    def fit(self, size: int) -> None:
        """Make it hold ``size`` bytes; its content is lost. No run may be under way."""
        if size <= self.size:
            return
        self.release()
        with ExitStack() as stack:
            self.host = stack.enter_context(self._gpu.host_memory(size))
            self.device = self.host
            if not self.mapped:
                self.device = stack.enter_context(self._gpu.device_memory(size))
            self._held = stack.pop_all()
        self.size = size

    def array(self, shape: tuple[int, ...]) -> Frames:
        """Return the first bytes on the processor's side as an array; it is not a copy."""
        return self.host.array[: int(np.prod(shape))].reshape(shape)

    def release(self) -> None:
        self.size = 0
        held, self._held = self._held, ExitStack()
        held.close()


class BufferSet:
    """Pinned buffers for ``frames``, ``classes`` and ``blended``; events for the times of a run."""

    def __init__(self, gpu: Gpu, stack: ExitStack) -> None:
        self.frames, self.classes, self.blended = (PinnedBuffer(gpu) for _ in range(3))
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
        ) = (stack.enter_context(gpu.event()) for _ in range(7))
        #: (N, H, W, 3) of the batch, and the number of its frames that are not repetitions.
        self.shape: tuple[int, int, int, int] = (0, 0, 0, 0)
        self.wanted = 0
        self.paints = False

    def map(self, mapped: bool) -> None:
        """Choose whether the GPU accesses frames and class maps in place; no run may be under way.

        Pictures stay in the GPU's memory: the kernel that paints them writes single bytes.
        """
        for buffer in (self.frames, self.classes):
            if buffer.mapped != mapped:
                buffer.release()
                buffer.mapped = mapped

    def fill(self, frames: Frames, count: int) -> None:
        """Copy the frames into the buffer; the last is repeated until there are ``count``."""
        self.wanted = len(frames)
        self.shape = (max(count, len(frames)), *frames.shape[1:])
        self.frames.fit(int(np.prod(self.shape)))
        target = self.frames.array(self.shape)
        target[: self.wanted] = frames
        target[self.wanted :] = frames[-1]

    def taken_classes(self, size: tuple[int, int]) -> Frames:
        """Return a copy of the class maps."""
        return self.classes.array((self.wanted, *size)).copy()

    def taken_pictures(self) -> Pictures | None:
        """Return a copy of the painted pictures; None where the run did not paint."""
        if not self.paints:
            return None
        return self.blended.array((self.wanted, *self.shape[1:])).copy()

    def times(self) -> dict[str, float]:
        """Return the milliseconds of each step of a finished run."""
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
