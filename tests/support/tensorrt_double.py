"""The module ``tensorrt`` or ``tensorrt_rtx`` on another machine: its engines are ONNX files.

The machine is a GPU made of host memory (``device_double``), the stand-in for the driver's library
(``stand_in_driver``), or a real GPU, which runs PyTorch instead of TensorRT.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

Step = Callable[[], None]


class RefusedError(Exception):
    """The driver refuses a request of TensorRT."""


@dataclass(frozen=True)
class End:
    """Name, NumPy type and shape of an input or output; -1 is a free dimension."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Run:
    """Attributes: ``shape`` of the input; addresses on the device; ``stream``, its handle."""

    shape: tuple[int, ...]
    source: int
    target: int
    stream: int


class Program(Protocol):
    """An engine that a machine has loaded. Attributes: ``ends``, the input first."""

    ends: tuple[End, End]

    def begin(self, run: Run) -> None:
        """Queue one run on its stream."""


class Machine(Protocol):
    """Runs engines. Attributes: ``layer_names``, as a profiler receives them."""

    layer_names: list[str]

    def fails(self, name: str) -> bool:
        """Count a call of TensorRT; return whether it should fail."""

    def load(self, serialized: bytes) -> Program:
        """Load an engine."""

    def wait(self, stream: int) -> None:
        """Return when all work on a stream is done."""


class HostMachine(Machine, Protocol):
    """A machine whose streams run functions on the processor."""

    def put(self, stream: int, step: Step) -> None:
        """Put a function on a stream."""

    def bytes_at(self, address: int, size: int) -> np.ndarray:
        """Return the device's memory while the function runs."""


class OnnxProgram:
    """An ONNX file that ONNX Runtime runs on the processor, in its turn on the stream."""

    def __init__(self, machine: HostMachine, serialized: bytes) -> None:
        import onnxruntime  # starts a thread, which no process that forks may have

        self._machine = machine
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(serialized, options, ["CPUExecutionProvider"])
        source, target = (
            End(
                end.name,
                {"float": "float32"}.get(kind := end.type.removeprefix("tensor(")[:-1], kind),
                tuple(n if isinstance(n, int) else -1 for n in end.shape),
            )
            for end in (*self._session.get_inputs(), *self._session.get_outputs())
        )
        self.ends = (source, target)

    def begin(self, run: Run) -> None:
        self._machine.put(run.stream, lambda: self._run(run))

    def _run(self, run: Run) -> None:
        kind = np.dtype(self.ends[0].dtype)
        size = int(np.prod(run.shape)) * kind.itemsize
        frames = self._machine.bytes_at(run.source, size).view(kind).reshape(run.shape)
        # The file's batch is 1.
        name = self.ends[0].name
        maps = [self._session.run(None, {name: frame[None]})[0] for frame in frames]
        found = np.concatenate(maps).ravel().view(np.uint8)
        self._machine.bytes_at(run.target, found.size)[:] = found


class TensorRTDouble:
    """Replaces the module.

    Only names listed in ``tests/data/tensorrt_names.json`` may be used on it.
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

    def __init__(self, machine: Machine, rtx: bool = False) -> None:
        self.machine = machine
        if rtx:
            self.IRuntimeCache = object

    def Runtime(self, logger: Any) -> _Runtime | _OverNothing:  # noqa: N802  # TensorRT's name
        if self.machine.fails("Runtime"):
            logger.log("error", "CUDA initialization failure with error: 35")
            return _OverNothing()
        return _Runtime(self.machine, logger)


class _OverNothing:
    """TensorRT's result when it does not start: its first use ends the process."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} of a runtime that did not start")


class _Runtime:
    def __init__(self, machine: Machine, logger: Any) -> None:
        self.machine, self.logger = machine, logger
        self.engine_host_code_allowed = False

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> _Loaded | None:
        if self.machine.fails("deserialize_cuda_engine"):
            self.logger.log("error", "the double refuses this engine\nand says more")
            return None
        return _Loaded(self.machine, serialized_engine)


class _Loaded:
    num_io_tensors = 2

    def __init__(self, machine: Machine, serialized: bytes) -> None:
        self.machine = machine
        self.program = machine.load(serialized)

    def _end(self, name: str) -> End:
        return next(end for end in self.program.ends if end.name == name)

    def get_tensor_name(self, index: int) -> str:
        return self.program.ends[index].name

    def get_tensor_mode(self, name: str) -> str:
        return "input" if self.program.ends[0].name == name else "output"

    def get_tensor_dtype(self, name: str) -> str:
        return f"DataType.{self._end(name).dtype.upper()}"

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self._end(name).shape

    def create_runtime_config(self) -> _Config | None:
        return None if self.machine.fails("create_runtime_config") else _Config(self.machine)

    def create_execution_context(self, config: _Config | None = None) -> _Context | None:
        if self.machine.fails("create_execution_context"):
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
    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.cuda_graph_strategy = 0
        self.dynamic_shapes_kernel_specialization_strategy = 0
        self.cache: _Cache | None = None

    def create_runtime_cache(self) -> _Cache | None:
        return None if self.machine.fails("create_runtime_cache") else _Cache()

    def set_runtime_cache(self, cache: _Cache) -> bool:
        self.cache = cache
        return not self.machine.fails("set_runtime_cache")


class _Context:
    """Refuses what TensorRT refuses: wrong shapes and addresses, and a missing stream."""

    def __init__(self, loaded: _Loaded, config: _Config | None) -> None:
        self.program, self.machine, self.config = loaded.program, loaded.machine, config
        self.shape = self.program.ends[0].shape  # of static ones
        self.addresses: dict[str, int] = {}
        self.profiler: Any = None
        self.runs = 0

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        end = self.program.ends[0]
        fits = name == end.name and len(shape) == len(end.shape) and min(shape) > 0
        # The files' batch is 1 where the engine's batch is free.
        fits = fits and all(
            had in {-1, given} for had, given in zip(end.shape[1:], shape[1:], strict=True)
        )
        if self.machine.fails("set_input_shape") or not fits:
            return False
        self.shape = tuple(shape)
        return True

    def set_tensor_address(self, name: str, memory: int) -> bool:
        known = name in {end.name for end in self.program.ends}
        if self.machine.fails("set_tensor_address") or not known or not memory or memory % 256:
            return False
        self.addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        if self.machine.fails("execute_async_v3") or -1 in self.shape:
            return False
        source, target = (self.addresses.get(end.name) for end in self.program.ends)
        if source is None or target is None:
            return False
        try:
            self.program.begin(Run(self.shape, source, target, stream_handle))
        except RefusedError:
            return False  # as TensorRT does, which tells its logger no more than that
        if self.profiler is not None:  # TensorRT waits for the run, then reports
            self.machine.wait(stream_handle)
            self.runs += 1
            for place, name in enumerate(self.machine.layer_names):
                self.profiler.report_layer_time(name, 10.0 * place + self.runs)
        return True
