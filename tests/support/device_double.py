"""A GPU and a TensorRT made of host memory: every call is counted, and any of them can fail.

Streams are lazy: work on them is done when somebody waits for it, and not before, in the order that
streams and events demand and in no other. So a buffer that is read too early, or written again too
early, gives wrong pictures here every time, where a real GPU gives them now and then.
"""

from __future__ import annotations

import ctypes
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnxruntime

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
    """Counts calls, fails one of them, and knows what is held.

    Attributes:
        calls: names of all calls so far.
        fail_at: index of the call that fails; None for none.
        late: the failure shows when its work is done, as asynchronous ones do.
        held: everything that was made and not released.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.fail_at: int | None = None
        self.held: set[object] = set()
        self.active: Counter[int] = Counter()
        self.poison: EngineError | None = None

    def fails(self, name: str) -> bool:
        """Count a call that reports its failure by what it returns."""
        self.calls.append(name)
        return len(self.calls) - 1 == self.fail_at

    def call(self, name: str) -> None:
        """Count a call of the driver; it needs an active context."""
        failed = self.fails(name)
        assert self.active[threading.get_ident()], f"{name} in a thread without the context"
        if failed:
            raise EngineError(f"the double failed in {name}")

    def hold(self, thing: object) -> None:
        self.held.add(thing)

    def give_back(self, thing: object) -> None:
        assert self.active[threading.get_ident()], "released in a thread without the context"
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
            self.work[self.done - 1]()

    def wait(self, event: Event) -> None:
        self.ledger.call("stream.wait")
        assert isinstance(event, LazyEvent)
        stream, place = event.stream, event.place
        self.put(lambda: stream.advance(place) if stream else None)

    def synchronize(self) -> None:
        self.ledger.call("stream.synchronize")
        self.advance(len(self.work))
        if self.ledger.poison is not None:
            raise self.ledger.poison

    def release(self) -> None:
        assert self.done == len(self.work), "released with work under way"
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
        if self.ledger.poison is not None:
            raise self.ledger.poison

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
        assert size > 0
        self.gpu = gpu
        self.bytes = np.full(size, 0xA5, np.uint8)
        self.size = size
        self.address = gpu.next_address
        gpu.next_address += size + 4096
        if not on_device:
            self.array = self.bytes
        gpu.memories.append(self)
        gpu.ledger.hold(self)

    def release(self) -> None:
        self.gpu.ledger.give_back(self)
        self.gpu.memories.remove(self)
        self.bytes[:] = 0x5A  # whoever reads it now reads nonsense
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
        self.layer_names: list[str] = []  # as a profiler is told them

    def find(self, address: int) -> Bytes:
        """Return the bytes from ``address`` to the end of the memory that it lies in."""
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
        self._copy(self.find(target.address)[: source.size], source, stream)

    def copy_out(self, target: Bytes, source: DeviceMemory, stream: Stream) -> None:
        self.ledger.call("copy_out")
        self._copy(target, self.find(source.address)[: target.size], stream)

    def _copy(self, target: Bytes, source: Bytes, stream: Stream) -> None:
        assert target.size == source.size, "a copy beyond the end of a memory"
        assert isinstance(stream, LazyStream)
        stream.put(lambda: np.copyto(target, source))

    def kernel(self, image: bytes, name: str, signature: str) -> Kernel:
        self.ledger.call("kernel")
        assert image.startswith(b"\x7fELF")
        assert name.encode() in image
        return KernelDouble(self, signature)


class TensorRTDouble:
    """Takes the place of the module ``tensorrt`` or ``tensorrt_rtx``; its engines are ONNX files.

    Only names that ``tests/data/tensorrt_names.json`` knows may be used on it.
    """

    __name__ = "tensorrt_double"
    __version__ = "10.3.0"

    class ILogger:
        class Severity:
            ERROR, INTERNAL_ERROR = "error", "internal error"

        def __init__(self) -> None:
            pass

    class IProfiler:
        def __init__(self) -> None:
            pass

    class TensorIOMode:
        INPUT, OUTPUT = "input", "output"

    class CudaGraphStrategy:
        DISABLED, WHOLE_GRAPH_CAPTURE = range(2)

    class DynamicShapesKernelSpecializationStrategy:
        LAZY, EAGER = range(2)

    def __init__(self, gpu: GpuDouble, rtx: bool = False) -> None:
        self.gpu = gpu
        if rtx:
            self.IRuntimeCache = object

    def Runtime(self, logger: Any) -> _Runtime:  # noqa: N802  # TensorRT's name
        return _Runtime(self.gpu, logger)


class _Runtime:
    def __init__(self, gpu: GpuDouble, logger: Any) -> None:
        self.gpu, self.logger = gpu, logger
        self.engine_host_code_allowed = False

    def deserialize_cuda_engine(self, serialized: bytes) -> _Loaded | None:
        if self.gpu.ledger.fails("deserialize_cuda_engine"):
            self.logger.log("error", "the double refuses this engine\nand says more")
            return None
        return _Loaded(self.gpu, serialized)


class _Loaded:
    num_io_tensors = 2

    def __init__(self, gpu: GpuDouble, onnx: bytes) -> None:
        self.gpu = gpu
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.network = onnxruntime.InferenceSession(onnx, options, ["CPUExecutionProvider"])
        self.ends = [*self.network.get_inputs(), *self.network.get_outputs()]

    def _end(self, name: str) -> Any:
        return next(end for end in self.ends if end.name == name)

    def get_tensor_name(self, index: int) -> str:
        return str(self.ends[index].name)

    def get_tensor_mode(self, name: str) -> str:
        return "input" if self.ends[0].name == name else "output"

    def get_tensor_dtype(self, name: str) -> str:
        return f"DataType.{self._end(name).type.removeprefix('tensor(')[:-1].upper()}"

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return tuple(n if isinstance(n, int) else -1 for n in self._end(name).shape)

    def create_runtime_config(self) -> _Config | None:
        return None if self.gpu.ledger.fails("create_runtime_config") else _Config(self.gpu)

    def create_execution_context(self, config: _Config | None = None) -> _Context | None:
        if self.gpu.ledger.fails("create_execution_context"):
            return None
        return _Context(self, config)


class _Cache:
    def __init__(self) -> None:
        self.blob = b""

    def deserialize(self, blob: bytes) -> bool:
        if not blob.startswith(b"cache of the double"):
            return False
        self.blob = blob
        return True

    def serialize(self) -> bytes:
        return self.blob or b"cache of the double"


class _Config:
    def __init__(self, gpu: GpuDouble) -> None:
        self.gpu = gpu
        self.cuda_graph_strategy = 0
        self.dynamic_shapes_kernel_specialization_strategy = 0
        self.cache: _Cache | None = None

    def create_runtime_cache(self) -> _Cache | None:
        return None if self.gpu.ledger.fails("create_runtime_cache") else _Cache()

    def set_runtime_cache(self, cache: _Cache) -> bool:
        self.cache = cache
        return not self.gpu.ledger.fails("set_runtime_cache")


class _Context:
    def __init__(self, loaded: _Loaded, config: _Config | None) -> None:
        self.loaded, self.gpu, self.config = loaded, loaded.gpu, config
        self.shape = tuple(loaded.ends[0].shape)  # of static ones
        self.addresses: dict[str, int] = {}
        self.profiler: Any = None
        self.runs = 0

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self.shape = tuple(shape)
        return not self.gpu.ledger.fails("set_input_shape")

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self.addresses[name] = memory
        return not self.gpu.ledger.fails("set_tensor_address")

    def execute_async_v3(self, stream_handle: int) -> bool:
        if self.gpu.ledger.fails("execute_async_v3"):
            return False
        streams = [s for s in self.gpu.ledger.held if isinstance(s, LazyStream)]
        stream = next(s for s in streams if s.handle == stream_handle)
        shape, addresses = self.shape, dict(self.addresses)
        source, target = (end.name for end in self.loaded.ends)
        late = self.gpu.ledger.fails("execution itself")

        def run() -> None:
            if late:
                self.gpu.ledger.poison = EngineError("the double failed while it executed")
                return
            size = int(np.prod(shape)) * self.kind.itemsize
            frames = self.gpu.find(addresses[source])[:size].view(self.kind).reshape(shape)
            # The file's batch is 1.
            maps = [self.loaded.network.run(None, {source: frame[None]})[0] for frame in frames]
            found = np.concatenate(maps).ravel().view(np.uint8)
            self.gpu.find(addresses[target])[: found.size] = found

        stream.put(run)
        if self.profiler is not None:  # TensorRT waits for the run, then reports
            stream.synchronize()
            self.runs += 1
            for place, name in enumerate(self.gpu.layer_names):
                self.profiler.report_layer_time(name, 10.0 * place + self.runs)
        return True

    @property
    def kind(self) -> np.dtype[Any]:
        name = self.loaded.ends[0].type.removeprefix("tensor(")[:-1]
        return np.dtype({"float": "float32"}.get(name, name))
