"""Fixed convolutions as TensorRT engines, with which a GPU's peak is measured."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from types import ModuleType
from typing import Any

import numpy as np

from pipeline.errors import EngineError
from pipeline.runtimes.probe import IN_A_ROW, Load, Shape
from pipeline.runtimes.tensorrt.cuda.gpu import DeviceMemory, Gpu
from pipeline.runtimes.tensorrt.lifetimes import asking_the_driver, give_back, holding
from pipeline.runtimes.tensorrt.log import collecting_logger
from pipeline.runtimes.tensorrt.start import start_runtime

#: Precision of a load -> type of the values between the convolutions.
_TYPES = {"fp32": "FLOAT", "fp16": "HALF", "bf16": "BF16", "int8": "HALF"}


class TensorRTLoad(Load):
    """Convolutions of several shapes, one after the other.

    Args:
        trt: ``tensorrt`` or ``tensorrt_rtx``.
        gpu: that computes them.
        shapes: of the convolutions.
        engines: bytes of the engine for each shape.

    Raises:
        EngineError: TensorRT does not load an engine, or the GPU has too little memory.
    """

    def __init__(
        self, trt: ModuleType, gpu: Gpu, shapes: Sequence[Shape], engines: Sequence[bytes]
    ) -> None:
        self.macs = IN_A_ROW * sum(shape.macs for shape in shapes)
        self._gpu = gpu
        self._logger = collecting_logger(trt)
        self._contexts: list[Any] = []
        with holding(gpu) as stack:
            # TensorRT frees with the last reference; contexts must go before the runtime.
            stack.callback(self._forget)
            self._runtime = start_runtime(trt, self._logger, gpu.info)
            self._stream = stack.enter_context(gpu.stream())
            try:
                for shape, engine in zip(shapes, engines, strict=True):
                    self._contexts.append(self._open(shape, engine, stack))
            except EngineError:
                with suppress(EngineError):  # buffers must outlive the work on them
                    self._stream.synchronize()
                raise
        self._held = stack

    def run(self) -> None:
        with self._gpu.active():
            with asking_the_driver(self._stream):
                for context in self._contexts:
                    self._checked(context.execute_async_v3(self._stream.handle), "run")
            self._stream.synchronize()

    def close(self) -> None:
        if self._contexts:
            give_back(self._gpu, [self._stream], self._held)
            self._forget()

    def _open(self, shape: Shape, engine: bytes, stack: ExitStack) -> Any:
        loaded = self._checked(self._runtime.deserialize_cuda_engine(engine), "load")
        context = self._checked(loaded.create_execution_context(), "prepare to run")
        for index in range(loaded.num_io_tensors):
            memory = self._random(shape, stack)
            name = loaded.get_tensor_name(index)
            self._checked(context.set_tensor_address(name, memory.address), "take a buffer for")
        return context

    def _random(self, shape: Shape, stack: ExitStack) -> DeviceMemory:
        """Make a buffer of random values: with zeros a GPU takes less power, and less time."""
        count = shape.channels * shape.height * shape.width
        values = np.random.default_rng(0).random(count, dtype=np.float32).view(np.uint8)
        memory = stack.enter_context(self._gpu.device_memory(values.size))
        staging = stack.enter_context(self._gpu.host_memory(values.size))
        staging.array[:] = values
        self._gpu.copy_in(memory, staging.array, self._stream)
        self._stream.synchronize()
        return memory

    def _checked(self, outcome: Any, what: str) -> Any:
        if outcome is None or outcome is False:
            raise EngineError(
                f"TensorRT does not {what} the reference convolution "
                f"({self._logger.last_error()}); 'roadseg doctor' lists versions"
            )
        return outcome

    def _forget(self) -> None:
        self._contexts.clear()
        self._runtime = None


def build_load(trt: ModuleType, shape: Shape, precision: str, target: str | None) -> bytes:
    """Build an engine of :data:`IN_A_ROW` equal convolutions, each followed by a ReLU.

    Args:
        trt: ``tensorrt`` or ``tensorrt_rtx``.
        shape: of the convolutions; FP32 values (1, channels, height, width) in and out.
        precision: in which they are computed.
        target: GPU architecture, such as ``sm89``; None for this machine's.

    Raises:
        EngineError: the precision is not known, or TensorRT does not build it.
    """
    if precision not in _TYPES:
        raise EngineError(
            f"no reference convolution is known in {precision!r}, expected one of "
            f"{', '.join(_TYPES)}"
        )
    logger = collecting_logger(trt)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    constants = _fill(trt, network, shape, precision)
    config = builder.create_builder_config()
    known = trt.ComputeCapability.__members__ if target else {}
    if target and target.upper() in known:  # else the builder's default: Ampere and later
        config.num_compute_capabilities = 1
        config.set_compute_capability(known[target.upper()], 0)
    if precision == "fp32":
        config.clear_flag(trt.BuilderFlag.TF32)
    engine = builder.build_serialized_network(network, config)
    constants.clear()
    if engine is None:
        raise EngineError(
            f"TensorRT {trt.__version__} does not build a convolution in {precision.upper()} "
            f"({logger.last_error()}); this GPU may not compute it"
        )
    return bytes(memoryview(engine))


def _fill(
    trt: ModuleType, network: Any, shape: Shape, precision: str
) -> list[np.ndarray[Any, Any]]:
    """Fill the network; return its constants, which must live until the engine is built."""
    kind = getattr(trt.DataType, _TYPES[precision])
    random = np.random.default_rng(0)
    sides = (shape.channels, shape.channels, shape.kernel, shape.kernel)
    size = (1, shape.channels, shape.height, shape.width)
    constants: list[np.ndarray[Any, Any]] = []

    def constant(values: np.ndarray[Any, Any]) -> Any:
        # NumPy has no BF16, so only that is cast in the network; scales must be constants.
        exact = values if kind == trt.DataType.BF16 else values.astype(trt.nptype(kind))
        constants.append(exact)
        given = network.add_constant(exact.shape, trt.Weights(exact)).get_output(0)
        return given if given.dtype == kind else network.add_cast(given, kind).get_output(0)

    def rounded(value: Any, largest: float) -> Any:
        if precision != "int8":
            return value
        scale = constant(np.array(largest / 127, np.float32))
        quantised = network.add_quantize(value, scale, trt.DataType.INT8).get_output(0)
        return network.add_dequantize(quantised, scale, kind).get_output(0)

    given = network.add_input("given", trt.DataType.FLOAT, size)
    value = network.add_cast(given, kind).get_output(0)
    for _ in range(IN_A_ROW):
        weights = random.uniform(-1, 1, sides).astype(np.float32) / shape.channels
        convolution = network.add_convolution_nd(
            rounded(value, 1.0), shape.channels, sides[2:], trt.Weights()
        )
        convolution.set_input(1, rounded(constant(weights), 1 / shape.channels))
        convolution.padding_nd = [shape.kernel // 2] * 2
        behind = network.add_activation(convolution.get_output(0), trt.ActivationType.RELU)
        value = behind.get_output(0)
    network.mark_output(network.add_cast(value, trt.DataType.FLOAT).get_output(0))
    return constants
