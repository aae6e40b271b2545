"""What OpenVINO reports about an engine: layer times and work; and fixed loads."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.engine.manifest import Engine
from pipeline.errors import EngineError
from pipeline.runtimes.openvino.core import (
    OUR_NAMES,
    compiled,
    computes,
    open_for_cpu,
    ov,
    read_model,
)
from pipeline.runtimes.openvino.frame_resize import FrameResize, resizes_outside
from pipeline.runtimes.probe import IN_A_ROW, ConvolutionWork, LayerTime, Load, Probe, Shape
from pipeline.runtimes.session import Frames

_WARM_UP = 3
_QUANTISED_LEVELS = 256


class OpenVINOProbe(Probe):
    """Asks OpenVINO on the CPU."""

    def layers(self, engine: Engine, frames: Frames, runs: int) -> list[LayerTime]:
        model = open_for_cpu(engine, {"PERF_COUNT": "YES"}, None)
        request = model.create_infer_request()
        size = engine.manifest.input.height, engine.manifest.input.width
        given: Any = FrameResize(size, len(frames))(frames) if resizes_outside(model) else frames
        for _ in range(_WARM_UP):
            request.infer({0: given})
        counted: dict[int, list[float]] = {}
        for _ in range(runs):
            request.infer({0: given})
            for place, info in enumerate(request.get_profiling_info()):
                counted.setdefault(place, []).append(info.real_time.total_seconds() * 1e3)
        times = []
        for place, info in enumerate(request.get_profiling_info()):
            if info.exec_type == "undef" or not any(counted[place]):
                continue  # fused into another layer, or constant
            primitive, _, precision = info.exec_type.rpartition("_")
            kind = f"{info.node_type} {primitive}".strip()
            name = info.node_name.removesuffix("/WithoutBiases")
            ms = statistics.median(counted[place])
            times.append(
                LayerTime(name, kind, OUR_NAMES.get(precision.lower(), precision.lower()), ms)
            )
        return times

    def work(self, engine: Engine) -> list[ConvolutionWork]:
        model = read_model(engine.path)
        if model.input().partial_shape[0].is_dynamic:
            model.reshape({model.input(): ov.PartialShape([1, -1, -1, 3])})
        fallback = {"int8": "fp32"}.get(engine.manifest.precision, engine.manifest.precision)
        executed = dict(engine.manifest.layers.convolutions)
        found = []
        for operation in model.get_ordered_ops():
            work = _work_of(operation)
            if work is not None:
                name = operation.get_friendly_name().removesuffix("/WithoutBiases")
                found.append(ConvolutionWork(executed.get(name, fallback), *work))
        return found

    def load(self, shapes: Sequence[Shape], precision: str, threads: int = 0) -> Load:
        if not computes(precision):
            raise EngineError(
                f"this processor computes no {precision.upper()}; ask for one of what "
                "'roadseg doctor' lists"
            )
        return _OpenVINOLoad(shapes, precision, threads)


def probe() -> Probe:
    """Return the probe of this runtime."""
    return OpenVINOProbe()


def _work_of(operation: Any) -> tuple[int, int] | None:
    """Multiply-adds, and values read and written, of a convolution or matrix product."""
    kind = operation.get_type_name()
    if kind not in {
        "Convolution",
        "GroupConvolution",
        "ConvolutionBackpropData",
        "GroupConvolutionBackpropData",
        "MatMul",
    }:
        return None
    shapes = [value.get_partial_shape() for value in (*operation.inputs(), *operation.outputs())]
    if any(shape.is_dynamic for shape in shapes[:2] + shapes[-1:]):
        return None
    given, weights, result = (tuple(shape.to_shape()) for shape in (*shapes[:2], shapes[-1]))
    if kind == "MatMul":
        inner = given[-2 if operation.get_attributes().get("transpose_a") else -1]
        macs = math.prod(result) * inner
    else:
        # Weights are (out, in, ...), (groups, out, in, ...) or, transposed, (in, out, ...): each
        # is used once per position of the result or, if transposed, of the input.
        positions = given if "Backprop" in kind else result
        macs = math.prod(weights) * math.prod(positions[2:]) * positions[0]
    return macs, sum(math.prod(shape) for shape in (given, weights, result))


class _OpenVINOLoad(Load):
    """Convolutions one after the other, each compiled separately, with the settings of engines."""

    def __init__(self, shapes: Sequence[Shape], precision: str, threads: int) -> None:
        self.macs = IN_A_ROW * sum(shape.macs for shape in shapes)
        self._requests = []
        settings = {"INFERENCE_NUM_THREADS": str(threads)} if threads else {}
        for shape in shapes:
            network = _convolution(shape, quantised=precision == "int8")
            model = compiled(network, precision, settings)
            request = model.create_infer_request()
            random = np.random.default_rng(0)
            size = (1, shape.channels, shape.height, shape.width)
            request.set_input_tensor(ov.Tensor(random.random(size, dtype=np.float32)))
            self._requests.append(request)

    def run(self) -> None:
        for request in self._requests:
            request.infer()

    def close(self) -> None:
        self._requests.clear()


def _convolution(shape: Shape, quantised: bool) -> Any:
    """Network of :data:`IN_A_ROW` equal convolutions with a ReLU after each."""
    op = ov.opset13
    random = np.random.default_rng(0)
    size = (shape.channels, shape.channels, shape.kernel, shape.kernel)
    given = op.parameter([1, shape.channels, shape.height, shape.width], np.float32, name="given")
    value = given
    pads = [shape.kernel // 2] * 2
    for _ in range(IN_A_ROW):
        weights = op.constant(random.uniform(-1, 1, size).astype(np.float32) / shape.channels)
        if quantised:
            low, high = np.float32(-1 / shape.channels), np.float32(1 / shape.channels)
            weights = op.fake_quantize(weights, low, high, low, high, _QUANTISED_LEVELS - 1)
            zero, one = np.float32(0), np.float32(1)
            value = op.fake_quantize(value, zero, one, zero, one, _QUANTISED_LEVELS)
        value = op.relu(op.convolution(value, weights, [1, 1], pads, pads, [1, 1]))
    return ov.Model([value], [given], "load")
