"""A TensorRT engine in memory: its input and output, and how a run is started."""

from __future__ import annotations

import logging
from contextlib import ExitStack, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from models.atomic import atomic_path
from pipeline.engine.compatibility import GpuInfo
from pipeline.engine.manifest import Engine
from pipeline.errors import EngineError
from pipeline.runtimes.tensorrt.cuda.gpu import Stream
from pipeline.runtimes.tensorrt.log import collecting_logger
from pipeline.runtimes.tensorrt.start import load_engine, start_runtime

log = logging.getLogger(__name__)

#: Cache of what TensorRT for RTX compiled for this GPU, a file beside the engine.
CACHE_SUFFIX = ".rtxcache"


class ExecutionContext:
    """Made, used and released while the GPU is active.

    Args:
        engine: verified.
        trt: ``tensorrt`` or ``tensorrt_rtx``.
        gpu: that it runs on.
        graphs: let TensorRT for RTX replay runs as CUDA graphs (docs/decisions/009).
        eager: let it compile kernels for a frame size before the first run, not during runs.

    Raises:
        EngineError: TensorRT does not load it, or it does not match its manifest.
        RuntimeMissingError: TensorRT does not start here.
    """

    def __init__(
        self, engine: Engine, trt: Any, gpu: GpuInfo, graphs: bool = False, eager: bool = False
    ) -> None:
        self._trt = trt
        self._engine = engine
        self._logger = collecting_logger(trt)
        self._cache: Any = None
        self._profiler: Any = None
        with ExitStack() as stack:
            stack.callback(self._forget)
            self._runtime = start_runtime(trt, self._logger, gpu)
            self._loaded = load_engine(trt, self._runtime, engine, self._logger)
            self.input, self.output = self._ends()
            self._context = self._checked(self._open_context(graphs, eager), "prepare to run it")
            stack.pop_all()

    def run(self, shape: tuple[int, ...], frames: int, classes: int, stream: Stream) -> None:
        """Start a run on ``stream``; returns before it is done.

        Args:
            shape: of the frames, (N, H, W, 3).
            frames: address of the frames on the GPU.
            classes: address for the class maps.
            stream: the same for all runs of this engine, since they share memory.
        """
        context = self._context
        self._checked(context.set_input_shape(self.input, shape), f"take frames of {shape}")
        self._checked(context.set_tensor_address(self.input, frames), "take a buffer")
        self._checked(context.set_tensor_address(self.output, classes), "take a buffer")
        self._checked(context.execute_async_v3(stream.handle), "run")

    def report_to(self, profiler: Any) -> None:
        """Give ``profiler`` the time of every layer in later runs."""
        self._profiler = profiler  # TensorRT holds no reference
        self._context.profiler = profiler

    def release(self) -> None:
        """Write the cache and release everything; no run may be under way."""
        try:
            self._write_cache()
        finally:
            self._forget()

    def _forget(self) -> None:
        # In this order, since each uses the later ones. TensorRT frees with the last reference.
        for name in ("_context", "_profiler", "_cache", "_loaded", "_runtime"):
            setattr(self, name, None)

    def _checked(self, outcome: Any, what: str) -> Any:
        """Raise where TensorRT returns None or False; the reason is in its log."""
        if outcome is None or outcome is False:
            raise EngineError(
                f"TensorRT {self._trt.__version__} does not {what}: {self._engine.path} "
                f"({self._logger.last_error()}); open the engine again, and build it again with "
                "this version if that does not help"
            )
        return outcome

    def _ends(self) -> tuple[str, str]:
        """Return the names of input and output; their types and shapes must match the manifest."""
        loaded, trt = self._loaded, self._trt
        names = [loaded.get_tensor_name(index) for index in range(loaded.num_io_tensors)]
        inputs = [n for n in names if loaded.get_tensor_mode(n) == trt.TensorIOMode.INPUT]
        outputs = [name for name in names if name not in inputs]
        size = (self._engine.manifest.input.height, self._engine.manifest.input.width)
        found = [
            (str(loaded.get_tensor_dtype(name)).rpartition(".")[2], tuple(shape)[1:])
            for name in (*inputs, *outputs)
            for shape in [loaded.get_tensor_shape(name)]
        ]
        free = found[0][1] if found else ()
        if (
            len(inputs) != 1
            or len(outputs) != 1
            or found[0][0] != "UINT8"
            or len(free) != 3
            or free[2] != 3
            or found[1] != ("UINT8", size)
        ):
            raise EngineError(
                f"engine {self._engine.path} has the tensors {', '.join(names)} of {found}, its "
                f"manifest says bytes (N, H, W, 3) in and bytes (N, {size[0]}, {size[1]}) out; "
                "build it again"
            )
        return inputs[0], outputs[0]

    def _open_context(self, graphs: bool, eager: bool) -> Any:
        # Only TensorRT for RTX compiles when it runs, and makes CUDA graphs itself.
        if not hasattr(self._trt, "IRuntimeCache"):
            return self._loaded.create_execution_context()
        config = self._checked(self._loaded.create_runtime_config(), "prepare to run it")
        self._cache = self._checked(config.create_runtime_cache(), "make a cache")
        with suppress(OSError):
            # A cache of another GPU, driver or version is refused, and replaced at the end.
            blob = self._cached()
            if blob is None or not self._cache.deserialize(blob):
                log.info("%s is damaged, or of another engine, GPU or version", self._cache_path)
        self._checked(config.set_runtime_cache(self._cache), "take its cache")
        if graphs:
            config.cuda_graph_strategy = self._trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        if eager:
            strategy = self._trt.DynamicShapesKernelSpecializationStrategy.EAGER
            config.dynamic_shapes_kernel_specialization_strategy = strategy
        return self._loaded.create_execution_context(config)

    def _cached(self) -> bytes | None:
        """Return this engine's cache; None where it is damaged or another engine's."""
        content = self._cache_path.read_bytes()
        digest, blob = content[: sha256().digest_size], content[sha256().digest_size :]
        return blob if digest == self._digest(blob) else None

    def _digest(self, blob: bytes) -> bytes:
        """SHA-256 over the engine's hash and the cache, which is machine code."""
        return sha256(self._engine.manifest.files[0].sha256.encode() + blob).digest()

    @property
    def _cache_path(self) -> Path:
        return self._engine.path.with_suffix(CACHE_SUFFIX)

    def _write_cache(self) -> None:
        """Write the cache if it has changed; without it the next start only takes longer."""
        if self._cache is None:
            return
        try:
            blob = bytes(memoryview(self._cache.serialize()))
            content = self._digest(blob) + blob
            if self._cache_path.exists() and self._cache_path.read_bytes() == content:
                return
            with atomic_path(self._cache_path) as temporary:
                temporary.write_bytes(content)
        except (OSError, TypeError) as error:
            log.info("the runtime cache was not kept (%s)", error)
