"""Engines of TensorRT and of TensorRT for RTX on an NVIDIA GPU; one implementation for both.

A run uses three streams: the first copies its frames in, the second computes and paints, the third
copies its class maps out. With two sets of buffers, the copies of one run overlap the computation
of another. TensorRT has its memory once, so runs compute in turn.

This file imports nothing that needs a GPU; ``platform`` does so when a session is opened.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from pipeline.engine.compatibility import Machine, check_compatible
from pipeline.engine.manifest import Engine
from pipeline.errors import EngineError, RoadsegError, RuntimeMissingError
from pipeline.runtimes.session import (
    Capabilities,
    ClassMaps,
    Frames,
    Pending,
    Segmented,
    Session,
    TensorSpec,
    Tint,
)
from pipeline.runtimes.tensorrt.buffer_set import BufferSet, PinnedBuffer
from pipeline.runtimes.tensorrt.cuda.painting import Canvas, Painter
from pipeline.runtimes.tensorrt.execution_context import ExecutionContext
from pipeline.runtimes.tensorrt.general_kernels import GeneralKernels
from pipeline.runtimes.tensorrt.lifetimes import asking_the_driver, give_back, holding
from pipeline.runtimes.tensorrt.memory_choice import choose_memory
from pipeline.runtimes.tensorrt.platform import Platform, open_platform

log = logging.getLogger(__name__)

#: Sets of buffers: while one run computes, another is copied in or out.
_BUFFER_SETS = 2


class TensorRTSession(Session):
    """Runs an engine; owns its streams, events and buffers, and releases them in reverse order.

    Any thread may use and close it, one at a time; there may be many sessions. After a failed call
    on the GPU it can only be closed: CUDA reports errors late, so any run may be wrong.

    Args:
        engine: built by a TensorRT compiler.
        platform: TensorRT and the GPU; None for this machine's.
        graphs: replay runs as CUDA graphs, where TensorRT can (docs/decisions/009).
        eager: compile kernels for a frame size before its first run, not during runs; to measure.

    Raises:
        EngineError: it was not built for this machine, or the GPU has too little memory.
        RuntimeMissingError: TensorRT, pycuda or the GPU is missing.
    """

    def __init__(
        self,
        engine: Engine,
        platform: Platform | None = None,
        graphs: bool = False,
        eager: bool = False,
    ) -> None:
        manifest = engine.manifest
        platform = platform or open_platform(manifest.runtime)
        gpu = self._gpu = platform.gpu
        trt = platform.trt
        check_compatible(engine, Machine(manifest.runtime, str(trt.__version__), gpu.info))
        self._fewest, _, self._most = manifest.frames.batch_range
        self._sizes = manifest.frames.sizes or manifest.frames.ends
        self._size = (manifest.input.height, manifest.input.width)
        self._under_way: deque[_Run] = deque()
        self._failure: EngineError | None = None
        self._closed = False
        self._painter: Painter | None = None
        # Only TensorRT for RTX compiles when it runs.
        lazy = hasattr(trt, "IRuntimeCache") and not eager
        self._general = GeneralKernels() if lazy else None
        with holding(gpu) as stack:
            self._context = ExecutionContext(engine, trt, gpu.info, graphs, eager)
            stack.callback(self._context.release)
            self._in, self._compute, self._out = (
                stack.enter_context(gpu.stream()) for _ in range(3)
            )
            self._buffer_sets = [BufferSet(gpu, stack) for _ in range(_BUFFER_SETS)]
            paints = self._open_painter(stack)
        self._held = stack
        self.input_spec = TensorSpec(
            self._context.input, "uint8", (self._most, None, None, 3), "NHWC, BGR"
        )
        self.output_spec = TensorSpec(
            self._context.output, "uint8", (self._most, *self._size), "NHW"
        )
        self.capabilities = Capabilities(
            runtime=manifest.runtime,
            device=gpu.info.name,
            precision="+".join(sorted(set(manifest.layers.convolutions.values())))
            or manifest.precision,
            in_flight=_BUFFER_SETS,
            paints=paints,
        )
        if gpu.info.shares_memory:
            self._choose_memory()

    def _choose_memory(self) -> None:
        width, height = self._sizes[len(self._sizes) // 2]
        frames = np.zeros((self._fewest, height, width, 3), np.uint8)
        try:
            with self._working():  # changing the buffers' memory releases some
                choose_memory(self, self._buffer_sets, frames)
        except RoadsegError:
            self.close()
            raise

    def report_layers_to(self, profiler: Any) -> None:
        """Give ``profiler``, an ``IProfiler``, the time of every layer from the next run on.

        With it TensorRT waits for the end of each run.
        """
        with self._working():
            self._context.report_to(profiler)

    def close(self) -> None:
        """Wait for the runs under way and release everything; errors are logged."""
        if self._closed:
            return
        self._closed = True
        give_back(self._gpu, (self._in, self._compute, self._out), self._held)

    def _run(self, frames: Frames) -> ClassMaps:
        """Run any number of frames, in batches of the engine's size."""
        runs: deque[Pending] = deque()
        maps: list[ClassMaps] = []
        for first in range(0, len(frames), self._most):
            if len(runs) == _BUFFER_SETS:
                maps.append(runs.popleft().result().classes)
            runs.append(self._submit(frames[first : first + self._most], None))
        maps += [run.result().classes for run in runs]
        none = np.empty((0, *self._size), np.uint8)
        return maps[0] if len(maps) == 1 else np.concatenate([none, *maps])

    def _submit(self, frames: Frames, tint: Tint | None) -> Pending:
        self._check(frames)
        with self._working():
            buffers = next(
                s for s in self._buffer_sets if all(run.buffers is not s for run in self._under_way)
            )
            buffers.paints = tint is not None and self._painter is not None
            buffers.fill(frames, self._fewest)
            buffers.classes.fit(buffers.shape[0] * self._size[0] * self._size[1])
            if buffers.paints:
                buffers.blended.fit(int(np.prod(buffers.shape)))
            self._copy_in(buffers)
            self._execute(buffers, tint)
            self._copy_out(buffers)
        run = _Run(self, buffers)
        self._under_way.append(run)
        return run

    def _copy_in(self, buffers: BufferSet) -> None:
        buffers.began.record(self._in)
        if not buffers.frames.mapped:
            count = int(np.prod(buffers.shape))
            self._gpu.copy_in(buffers.frames.device, buffers.frames.host.array[:count], self._in)
        buffers.loaded.record(self._in)

    def _execute(self, buffers: BufferSet, tint: Tint | None) -> None:
        self._compute.wait(buffers.loaded)
        buffers.ready.record(self._compute)
        frames, classes = buffers.frames.device.address, buffers.classes.device.address
        with asking_the_driver(self._compute):
            self._context.run(buffers.shape, frames, classes, self._compute)
        buffers.executed.record(self._compute)
        if buffers.paints and tint is not None and self._painter is not None:
            canvas = Canvas(frames, classes, buffers.blended.device.address, buffers.shape[:3])
            self._painter.paint(canvas, tint)
        buffers.painted.record(self._compute)

    def _copy_out(self, buffers: BufferSet) -> None:
        self._out.wait(buffers.painted)
        buffers.leaving.record(self._out)
        if not buffers.classes.mapped:
            count = buffers.shape[0] * self._size[0] * self._size[1]
            self._take(buffers.classes, count)
        if buffers.paints:
            self._take(buffers.blended, int(np.prod(buffers.shape)))
        buffers.done.record(self._out)

    def _take(self, buffer: PinnedBuffer, count: int) -> None:
        self._gpu.copy_out(buffer.host.array[:count], buffer.device, self._out)

    def _finish(self, run: _Run) -> Segmented:
        self._check_usable()
        if not self._under_way or self._under_way[0] is not run:
            raise ValueError("runs give their results once, in the order of their submission")
        buffers = run.buffers
        with self._working():
            buffers.done.synchronize()
            segmented = Segmented(
                buffers.taken_classes(self._size), buffers.taken_pictures(), buffers.times()
            )
        self._under_way.popleft()
        if self._general is not None:
            _, height, width, _ = buffers.shape
            self._general.add((width, height), segmented.device_ms["execute"])
        return segmented

    @contextmanager
    def _working(self) -> Iterator[None]:
        """Use the GPU; after an error the session is not usable."""
        try:
            with self._gpu.active():
                yield
        except EngineError as error:
            self._failure = error
            raise

    def _check(self, frames: Frames) -> None:
        self._check_usable()
        count, height, width = frames.shape[:3]
        (least_width, least_height), (most_width, most_height) = self._sizes[0], self._sizes[-1]
        fits = least_width <= width <= most_width and least_height <= height <= most_height
        if not fits or count > self._most:
            raise EngineError(
                f"the session was given {count} frames of {width}x{height}; this engine takes up "
                f"to {self._most} of {least_width}x{least_height} to {most_width}x{most_height}; "
                "build it with other --batch or --frame-sizes, or feed other frames"
            )
        if len(self._under_way) == _BUFFER_SETS:
            raise ValueError(f"{_BUFFER_SETS} runs are under way; take a result first")

    def _check_usable(self) -> None:
        if self._closed:
            raise EngineError("the session is closed; open the engine again")
        if self._failure is not None:
            raise EngineError(f"the session failed before: {self._failure}") from self._failure

    def _open_painter(self, stack: ExitStack) -> bool:
        """Return whether the GPU can paint; elsewhere the processor does."""
        try:
            self._painter = Painter(self._gpu, self._size, self._compute)
        except RuntimeMissingError as error:
            log.warning("pictures are drawn by the processor: %s", error)
            return False
        stack.callback(self._painter.release)
        return True


class _Run(Pending):
    def __init__(self, session: TensorRTSession, buffers: BufferSet) -> None:
        self._session = session
        self.buffers = buffers

    def result(self) -> Segmented:
        return self._session._finish(self)
