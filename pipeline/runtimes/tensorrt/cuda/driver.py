"""A GPU through pycuda. The only file that imports it."""

from __future__ import annotations

import atexit
import ctypes
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import numpy as np
import pycuda.driver as cuda

from pipeline.engine.compatibility import GpuInfo
from pipeline.errors import EngineError
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

_LOST = (
    "the GPU's driver has given this process up ({}); restart the process, and look at dmesg for "
    "NVRM lines if it happens again"
)


class _State:
    """Of the process, which has one primary context. After some errors CUDA answers no call."""

    lost = False


def _is_lost() -> bool:
    """Whether every call fails from now on: CUDA then repeats its error, asked for anything."""
    if not _State.lost:
        try:
            cuda.Context.synchronize()
        except cuda.Error:
            _State.lost = True
    return _State.lost


def _drop(thing: object) -> None:
    """Let go of something of pycuda's whose last reference frees it.

    What cannot be freed any more is kept for ever, beyond the interpreter's end: pycuda's
    destructors would each print a warning, and free nothing.
    """
    if _State.lost and thing is not None:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def _free(own: Any) -> None:
    if _State.lost:
        return _drop(own)
    with _in_words():
        own.free()


@contextmanager
def _in_words() -> Iterator[None]:
    """Turn the driver's errors into ours."""
    try:
        yield
    except cuda.MemoryError as error:
        raise EngineError(
            f"the GPU has too little free memory ({error}); close other programs that use it, or "
            "build the engine for smaller frames or a smaller batch"
        ) from error
    except cuda.Error as error:
        if _is_lost():
            raise EngineError(_LOST.format(error)) from error
        raise EngineError(
            f"the GPU's driver refused a call ({error}); open the engine again, and look at dmesg "
            "for NVRM lines if it happens again"
        ) from error


@cache
def open_gpu(number: int = 0) -> Gpu:
    """Return a GPU; the same object whenever it is asked for again.

    Raises:
        EngineError: the driver does not start, or has no such GPU.
    """
    with _in_words():
        cuda.init()
        return PycudaGpu(cuda.Device(number))


class PycudaGpu(Gpu):
    """Uses the primary context, as TensorRT and the CUDA runtime do.

    A context of one's own would cost some hundred MB for each session, and contexts take turns on
    the GPU instead of sharing it. The primary one is retained once and kept until the process ends.
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
        return _State.lost

    @contextmanager
    def active(self) -> Iterator[None]:
        if _State.lost:
            raise EngineError(_LOST.format("an earlier call failed"))
        try:
            self._context.push()
        except cuda.Error as error:
            _State.lost = True
            raise EngineError(_LOST.format(error)) from error
        try:
            yield
        except BaseException:
            self._pop(quiet=True)  # what failed first is the reason
            raise
        self._pop()

    def _pop(self, quiet: bool = False) -> None:
        try:
            cuda.Context.pop()
        except cuda.Error as error:
            _State.lost = True
            # It is still on pycuda's stack of this thread, which at the thread's end would abort
            # the process; one that was detached is taken off.
            with suppress(cuda.Error):
                self._context.detach()
            if not quiet:
                raise EngineError(_LOST.format(error)) from error

    def _leave(self) -> None:
        """Give the context back before the interpreter takes pycuda apart."""
        if _State.lost:
            return _drop(self._context)
        with suppress(cuda.Error):
            self._context.detach()

    def stream(self) -> Stream:
        with _in_words():
            return _Stream()

    def event(self) -> Event:
        with _in_words():
            return _Event()

    def device_memory(self, size: int) -> DeviceMemory:
        with _in_words():
            return _DeviceMemory(size)

    def host_memory(self, size: int) -> HostMemory:
        with _in_words():
            return _HostMemory(size)

    def copy_in(self, target: DeviceMemory, source: Bytes, stream: Stream) -> None:
        with _in_words():
            cuda.memcpy_htod_async(target.address, source, _of(stream))

    def copy_out(self, target: Bytes, source: DeviceMemory, stream: Stream) -> None:
        with _in_words():
            cuda.memcpy_dtoh_async(target, source.address, _of(stream))

    def kernel(self, image: bytes, name: str, signature: str) -> Kernel:
        with _in_words():
            return _Kernel(image, name, signature)


# pycuda gives streams, events and modules back when their last reference goes; it does so only in
# a thread where the context is active. So each object here holds the one reference, and drops it in
# release().


class _Stream(Stream):
    def __init__(self) -> None:
        # Without the flag, work on the default stream (of any library) would hold this one up.
        self.own: Any = cuda.Stream(_NON_BLOCKING)
        self.handle = self.own.handle

    def wait(self, event: Event) -> None:
        assert isinstance(event, _Event)
        with _in_words():
            self.own.wait_for_event(event.own)

    def synchronize(self) -> None:
        with _in_words():
            self.own.synchronize()

    def release(self) -> None:
        _drop(self.own)
        self.own = None


#: CU_STREAM_NON_BLOCKING, for which pycuda has no name.
_NON_BLOCKING = 1


def _of(stream: Stream) -> Any:
    assert isinstance(stream, _Stream)
    return stream.own


class _Event(Event):
    def __init__(self) -> None:
        # Waiting threads sleep; spinning would take the core that draws and encodes.
        self.own: Any = cuda.Event(cuda.event_flags.BLOCKING_SYNC)

    def record(self, stream: Stream) -> None:
        with _in_words():
            self.own.record(_of(stream))

    def synchronize(self) -> None:
        with _in_words():
            self.own.synchronize()

    def milliseconds_since(self, earlier: Event) -> float:
        assert isinstance(earlier, _Event)
        with _in_words():
            return float(self.own.time_since(earlier.own))

    def release(self) -> None:
        _drop(self.own)
        self.own = None


class _DeviceMemory(DeviceMemory):
    def __init__(self, size: int) -> None:
        self._own = cuda.mem_alloc(size)
        self.address = int(self._own)
        self.size = size

    def release(self) -> None:
        _free(self._own)


class _HostMemory(HostMemory):
    def __init__(self, size: int) -> None:
        flags = cuda.host_alloc_flags.DEVICEMAP
        array: Any = cuda.pagelocked_empty(size, np.uint8, mem_flags=flags)
        self.array = array
        self._own = array.base
        self.address = int(self._own.get_device_pointer())
        self.size = size

    def release(self) -> None:
        self.array = np.empty(0, np.uint8)
        _free(self._own)


class _Kernel(Kernel):
    def __init__(self, image: bytes, name: str, signature: str) -> None:
        self._module: Any = cuda.module_from_buffer(image)
        self._function: Any = self._module.get_function(name)
        self._function.prepare(signature)

    def launch(self, stream: Stream, grid: Size, block: Size, *values: float) -> None:
        with _in_words():
            self._function.prepared_async_call(grid, block, _of(stream), *values)

    def release(self) -> None:
        _drop(self._function)
        _drop(self._module)
        self._function = self._module = None
