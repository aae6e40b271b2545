"""A GPU through pycuda, which only this file and ``driver_errors`` import."""

from __future__ import annotations

import atexit
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import numpy as np
import pycuda.driver as cuda

from pipeline.engine.compatibility import GpuInfo
from pipeline.errors import EngineError
from pipeline.runtimes.tensorrt.cuda.driver_errors import (
    LOST,
    REFUSED,
    UNOPENED,
    State,
    drop,
    free,
    in_words,
    keep,
)
from pipeline.runtimes.tensorrt.cuda.gpu import (
    Bytes,
    DeviceMemory,
    Event,
    Gpu,
    HostMemory,
    Kernel,
    Size,
    Stream,
)


@cache
def open_gpu(number: int = 0) -> Gpu:
    """Return a GPU; every call with the same number returns the same object.

    Raises:
        EngineError: the driver does not start, or has no such GPU.
    """
    try:
        cuda.init()
        return PycudaGpu(cuda.Device(number))
    except cuda.Error as error:  # no context is active here, so that it cannot be lost
        raise EngineError(UNOPENED.format(number, error)) from error


class PycudaGpu(Gpu):
    """Uses the primary context, as TensorRT and the CUDA runtime do.

    A separate context would take some hundred MB per session, and contexts take turns on the GPU
    instead of sharing it. The primary one is retained once, until the process ends.
    """

    def __init__(self, device: Any) -> None:
        self._context = device.retain_primary_context()
        # pycuda ends the process with a core dump where the context outlives its module.
        atexit.register(self._leave)
        major, minor = device.compute_capability()
        version = cuda.get_driver_version()
        integrated = device.get_attribute(cuda.device_attribute.INTEGRATED)
        self.info = GpuInfo(
            name=device.name(),
            architecture=f"sm{major}{minor}",
            cuda=(version // 1000, version % 1000 // 10),
            shares_memory=bool(integrated),
        )

    @property
    def lost(self) -> bool:
        return State.lost

    @contextmanager
    def active(self) -> Iterator[None]:
        if State.lost:
            raise EngineError(LOST.format("an earlier call failed"))
        try:
            self._context.push()
        except cuda.Error as error:
            State.lost = not self._can_push()
            raise EngineError((LOST if State.lost else REFUSED).format(error)) from error
        try:
            yield
        except BaseException:
            with suppress(EngineError):  # the first error is the reason
                self._pop()
            raise
        self._pop()

    def _can_push(self) -> bool:
        """Whether pushing the context works when it is tried again."""
        try:
            self._context.push()
            cuda.Context.pop()
        except cuda.Error:
            return False
        return True

    def _pop(self) -> None:
        try:
            cuda.Context.pop()
        except cuda.Error as error:
            State.lost = not self._is_off_stack()
            raise EngineError((LOST if State.lost else REFUSED).format(error)) from error

    def _is_off_stack(self) -> bool:
        """Try again to pop the context from this thread's stack; where that fails, detach it.

        pycuda aborts the process when a thread ends with a context on its stack.
        """
        try:
            cuda.Context.pop()
        except cuda.Error:
            with suppress(cuda.Error):
                self._context.detach()
            return False
        return True

    def _leave(self) -> None:
        """Release the context before the interpreter unloads pycuda."""
        for _ in range(2):  # without the push pycuda makes one itself, and prints its errors
            with suppress(cuda.Error):
                if not State.lost:
                    self._context.push()
                    self._context.detach()
                    return
        keep(self._context)

    def stream(self) -> Stream:
        with in_words():
            return _Stream()

    def event(self) -> Event:
        with in_words():
            return _Event()

    def device_memory(self, size: int) -> DeviceMemory:
        with in_words():
            return _DeviceMemory(size)

    def host_memory(self, size: int) -> HostMemory:
        with in_words():
            return _HostMemory(size)

    def copy_in(self, target: DeviceMemory, source: Bytes, stream: Stream) -> None:
        with in_words():
            cuda.memcpy_htod_async(target.address, source, _of(stream))

    def copy_out(self, target: Bytes, source: DeviceMemory, stream: Stream) -> None:
        with in_words():
            cuda.memcpy_dtoh_async(target, source.address, _of(stream))

    def kernel(self, image: bytes, name: str, signature: str) -> Kernel:
        with in_words():
            return _Kernel(image, name, signature)


# pycuda frees streams, events and modules with their last reference, and only in a thread in which
# the context is active. So each object here holds the only reference, and drops it in release().


class _Stream(Stream):
    def __init__(self) -> None:
        # Without the flag, work of any library on the default stream would block this one.
        self.own: Any = cuda.Stream(_NON_BLOCKING)
        self.handle = self.own.handle

    def wait(self, event: Event) -> None:
        assert isinstance(event, _Event)
        with in_words():
            self.own.wait_for_event(event.own)

    def synchronize(self) -> None:
        with in_words():
            self.own.synchronize()

    def release(self) -> None:
        drop(self.own)
        self.own = None


#: CU_STREAM_NON_BLOCKING, for which pycuda has no name.
_NON_BLOCKING = 1


def _of(stream: Stream) -> Any:
    assert isinstance(stream, _Stream)
    return stream.own


class _Event(Event):
    def __init__(self) -> None:
        # Waiting threads sleep; spinning would take time from drawing and encoding.
        self.own: Any = cuda.Event(cuda.event_flags.BLOCKING_SYNC)

    def record(self, stream: Stream) -> None:
        with in_words():
            self.own.record(_of(stream))

    def synchronize(self) -> None:
        with in_words():
            self.own.synchronize()

    def milliseconds_since(self, earlier: Event) -> float:
        assert isinstance(earlier, _Event)
        with in_words():
            return float(self.own.time_since(earlier.own))

    def release(self) -> None:
        drop(self.own)
        self.own = None


class _DeviceMemory(DeviceMemory):
    def __init__(self, size: int) -> None:
        self._own = cuda.mem_alloc(size)
        self.address = int(self._own)
        self.size = size

    def release(self) -> None:
        free(self._own)


class _HostMemory(HostMemory):
    def __init__(self, size: int) -> None:
        flags = cuda.host_alloc_flags.DEVICEMAP
        array: Any = cuda.pagelocked_empty(size, np.uint8, mem_flags=flags)
        self.array = array
        self._own = array.base
        self.size = size
        try:
            self.address = int(self._own.get_device_pointer())
        except cuda.Error:
            self.release()  # else the error's traceback would keep it alive
            raise

    def release(self) -> None:
        self.array = np.empty(0, np.uint8)
        free(self._own)


class _Kernel(Kernel):
    def __init__(self, image: bytes, name: str, signature: str) -> None:
        self._module: Any = cuda.module_from_buffer(image)
        self._function: Any = None
        try:
            self._function = self._module.get_function(name)
            self._function.prepare(signature)
        except cuda.Error:
            self.release()  # else the error's traceback would keep it alive
            raise

    def launch(self, stream: Stream, grid: Size, block: Size, *values: float) -> None:
        with in_words():
            self._function.prepared_async_call(grid, block, _of(stream), *values)

    def release(self) -> None:
        drop(self._function)
        drop(self._module)
        self._function = self._module = None
