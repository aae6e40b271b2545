"""A GPU made of host memory: every call is counted, and any of them can fail.

Streams are lazy: their work is done only when something waits for it, in exactly the order that
streams and events require. So a buffer that is read or overwritten too early gives wrong pictures
here every time, where a real GPU gives them only sometimes.

It refuses what a driver refuses: empty allocations, launches beyond the limits, copies beyond the
end of an allocation, and everything after work has failed. What a driver accepts but a program
should not do (pageable memory, releasing during work, a thread without the context) is an
AssertionError.
"""

from __future__ import annotations

import ctypes
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from tensorrt_double import OnnxProgram, Step

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

#: Runs a kernel's own source on the host: grid, block, values.
HostKernel = Callable[..., None]


class Ledger:
    """Counts calls, fails one of them, and records what is held.

    Attributes:
        calls: names of all calls so far.
        fail_at: index of the call that fails; None for none.
        held: everything that was made and not released.
        poison: the error of failed work; every later call fails with it, as a driver's do.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.fail_at: int | None = None
        self.held: set[object] = set()
        self.active: Counter[int] = Counter()
        self.poison: EngineError | None = None

    def fails(self, name: str) -> bool:
        """Count a call that reports failure through its return value."""
        self.calls.append(name)
        return len(self.calls) - 1 == self.fail_at

    def call(self, name: str) -> None:
        """Count a call of the driver; it needs an active context."""
        failed = self.fails(name)
        assert self.active[threading.get_ident()], f"{name} in a thread without the context"
        self.check()
        if failed:
            raise EngineError(f"the double failed in {name}")

    def check(self) -> None:
        """Raise the error of failed work."""
        if self.poison is not None:
            raise self.poison

    def hold(self, thing: object) -> None:
        self.held.add(thing)

    def give_back(self, thing: object) -> None:
        usable = self.poison is None
        assert not usable or self.active[threading.get_ident()], "released without the context"
        assert thing in self.held, f"{type(thing).__name__} was released twice"
        self.held.remove(thing)


class LazyStream(Stream):
    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.work: list[Callable[[], None]] = []
        self.done = 0
        self.handle = id(self)
        ledger.hold(self)

    def put(self, step: Callable[[], None]) -> None:
        assert self in self.ledger.held, "work for a stream that was released"
        self.work.append(step)

    def advance(self, until: int) -> None:
        while self.done < until:
            self.done += 1
            if self.ledger.poison is None:
                self.work[self.done - 1]()

    def wait(self, event: Event) -> None:
        self.ledger.call("stream.wait")
        assert isinstance(event, LazyEvent)
        stream, place = event.stream, event.place
        self.put(lambda: stream.advance(place) if stream else None)

    def synchronize(self) -> None:
        self.ledger.call("stream.synchronize")
        self.advance(len(self.work))
        self.ledger.check()

    def release(self) -> None:
        idle = self.done == len(self.work)
        assert idle or self.ledger.poison, "released with work under way"
        self.ledger.give_back(self)


class LazyEvent(Event):
    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.stream: LazyStream | None = None
        self.place = 0
        ledger.hold(self)

    def record(self, stream: Stream) -> None:
        self.ledger.call("event.record")
        assert isinstance(stream, LazyStream)
        self.stream, self.place = stream, len(stream.work)

    def synchronize(self) -> None:
        self.ledger.call("event.synchronize")
        assert self.stream is not None
        self.stream.advance(self.place)
        self.ledger.check()

    def milliseconds_since(self, earlier: Event) -> float:
        self.ledger.call("event.milliseconds_since")
        assert isinstance(earlier, LazyEvent)
        for event in (earlier, self):
            assert event.stream is not None
            assert event.stream.done >= event.place, "asked for the time of unfinished work"
        return 1.0

    def release(self) -> None:
        self.ledger.give_back(self)


class Memory(HostMemory):
    """Bytes with an address of their own; ``on_device`` ones are hidden from the session."""

    def __init__(self, gpu: GpuDouble, size: int, on_device: bool) -> None:
        if not size:
            raise EngineError("the double refuses a memory of no bytes")
        self.gpu = gpu
        self.bytes = np.full(size, 0xA5, np.uint8)
        self.size = size
        self.address = gpu.next_address
        gpu.next_address += (size + 8191) // 4096 * 4096
        if not on_device:
            self.array = self.bytes
        gpu.memories.append(self)
        gpu.ledger.hold(self)

    def release(self) -> None:
        self.gpu.ledger.give_back(self)
        self.gpu.memories.remove(self)
        self.bytes[:] = 0x5A  # later reads get nonsense
        if not self.gpu.lost:  # else it is only forgotten
            self.gpu.ledger.call("free")


class KernelDouble(Kernel):
    """Runs the kernel's own source, compiled for the host."""

    def __init__(self, gpu: GpuDouble, signature: str) -> None:
        self.gpu, self.signature = gpu, signature
        gpu.ledger.hold(self)

    def launch(self, stream: Stream, grid: Size, block: Size, *values: float) -> None:
        self.gpu.ledger.call("launch")
        assert len(values) == len(self.signature)
        assert isinstance(stream, LazyStream)
        if max(grid[1:]) > 65535 or np.prod(block) > 1024 or 0 in (*grid, *block):
            raise EngineError(f"the double refuses to launch {grid} blocks of {block}")

        def run() -> None:
            sent = [
                self.gpu.pointer(int(value)) if kind == "P" else value
                for kind, value in zip(self.signature, values, strict=True)
            ]
            self.gpu.host_kernel(grid, block, *sent)

        stream.put(run)

    def release(self) -> None:
        self.gpu.ledger.give_back(self)


class GpuDouble(Gpu):
    """A GPU of the architecture sm89, or of a Jetson's when it shares memory."""

    def __init__(self, host_kernel: HostKernel, shares_memory: bool = False) -> None:
        architecture = "sm87" if shares_memory else "sm89"
        self.info = GpuInfo("the double", architecture, (13, 0), shares_memory)
        self.ledger = Ledger()
        self.memories: list[Memory] = []
        self.next_address = 1 << 32
        self.host_kernel = host_kernel
        self.layer_names: list[str] = []

    @property
    def lost(self) -> bool:
        return self.ledger.poison is not None

    def find(self, address: int) -> Bytes:
        """Return the bytes from ``address`` to the end of its memory."""
        for memory in self.memories:
            if memory.address <= address < memory.address + memory.size:
                return memory.bytes[address - memory.address :]
        raise AssertionError(f"{address:#x} is not in any memory that is held")

    def pointer(self, address: int) -> ctypes.c_void_p:
        return ctypes.c_void_p(self.find(address).ctypes.data)

    @contextmanager
    def active(self) -> Iterator[None]:
        thread = threading.get_ident()
        self.ledger.active[thread] += 1
        try:
            self.ledger.call("active")
            yield
        finally:
            self.ledger.active[thread] -= 1

    def stream(self) -> Stream:
        self.ledger.call("stream")
        return LazyStream(self.ledger)

    def event(self) -> Event:
        self.ledger.call("event")
        return LazyEvent(self.ledger)

    def device_memory(self, size: int) -> DeviceMemory:
        self.ledger.call("device_memory")
        return Memory(self, size, on_device=True)

    def host_memory(self, size: int) -> HostMemory:
        self.ledger.call("host_memory")
        return Memory(self, size, on_device=False)

    def copy_in(self, target: DeviceMemory, source: Bytes, stream: Stream) -> None:
        self.ledger.call("copy_in")
        self._check_pinned(source)
        self._copy(self.find(target.address)[: source.size], source, stream)

    def copy_out(self, target: Bytes, source: DeviceMemory, stream: Stream) -> None:
        self.ledger.call("copy_out")
        self._check_pinned(target)
        self._copy(target, self.find(source.address)[: target.size], stream)

    def _check_pinned(self, part: Bytes) -> None:
        pinned = [memory.array for memory in self.memories if hasattr(memory, "array")]
        assert any(np.may_share_memory(part, array) for array in pinned), "pageable memory"

    def _copy(self, target: Bytes, source: Bytes, stream: Stream) -> None:
        if target.size != source.size:
            raise EngineError("the double refuses a copy beyond the end of a memory")
        assert isinstance(stream, LazyStream)
        stream.put(lambda: np.copyto(target, source))

    def kernel(self, image: bytes, name: str, signature: str) -> Kernel:
        self.ledger.call("kernel")
        assert image.startswith(b"\x7fELF")
        assert name.encode() in image
        return KernelDouble(self, signature)

    # What TensorRT's double needs of its machine.

    def fails(self, name: str) -> bool:
        return self.ledger.fails(name)

    def load(self, serialized: bytes) -> OnnxProgram:
        return OnnxProgram(self, serialized)

    def put(self, stream: int, step: Step) -> None:
        late = self.ledger.fails("execution itself")

        def run() -> None:
            if late:
                self.ledger.poison = EngineError("the double failed while it executed")
            else:
                step()

        self._by_handle(stream).put(run)

    def wait(self, stream: int) -> None:
        self._by_handle(stream).synchronize()

    def bytes_at(self, address: int, size: int) -> Bytes:
        return self.find(address)[:size]

    def _by_handle(self, handle: int) -> LazyStream:
        streams = [one for one in self.ledger.held if isinstance(one, LazyStream)]
        return next(stream for stream in streams if stream.handle == handle)
