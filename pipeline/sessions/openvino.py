"""OpenVINO on the CPU. The only file, with its compiler, that imports ``openvino``."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import openvino as ov

from pipeline.engine import Engine, LayerPrecisions
from pipeline.errors import EngineError
from pipeline.sessions.base import Capabilities, ClassMaps, Frames, Session, TensorSpec

#: OpenVINO's names of precisions, and ours.
_NAMES = {"f32": "fp32", "f16": "fp16", "bf16": "bf16", "i8": "int8", "u8": "int8"}
#: What is not INT8 in an INT8 engine is computed in FP32.
_HINTS = {"fp32": "f32", "fp16": "f16", "bf16": "bf16", "int8": "f32"}


@cache
def _core() -> ov.Core:
    """One for the whole process.

    With a Core per engine, a process crashed when an engine was replaced under load (``--watch``):
    the Core of the new one was destroyed while other threads computed.
    """
    return ov.Core()


def computes(precision: str) -> bool:
    """Whether this CPU has arithmetic of ``precision``; without, OpenVINO computes in FP32."""
    known: list[str] = _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return precision.upper() in known


def compile_for_cpu(xml: Path, precision: str, threads: int = 0) -> ov.CompiledModel:
    """Compile an OpenVINO IR for the lowest latency of single frames.

    The precision is always set: left alone, OpenVINO computes FP32 as BF16 where the processor
    has it, and class maps would differ between machines without a word.

    Args:
        xml: the ``.xml`` file, its ``.bin`` beside it.
        precision: that of the engine; FP16 and BF16 fall to FP32 on CPUs without them.
        threads: inference threads, 0 for OpenVINO's choice.

    Raises:
        EngineError: OpenVINO cannot read or compile it.
    """
    hint = _HINTS[precision] if precision not in {"fp16", "bf16"} or computes(precision) else "f32"
    settings = {"INFERENCE_PRECISION_HINT": hint, "PERFORMANCE_HINT": "LATENCY"}
    if threads:
        settings["INFERENCE_NUM_THREADS"] = str(threads)
    try:
        core = _core()
        return core.compile_model(core.read_model(xml), "CPU", settings)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise EngineError(
            f"OpenVINO {ov.get_version()} cannot load {xml} ({reason}); build the engine again "
            "with this version"
        ) from error


def executed_convolutions(model: ov.CompiledModel) -> LayerPrecisions:
    """Read from the execution graph in which precision each convolution runs."""
    convolutions = {}
    for operation in model.get_runtime_model().get_ops():
        info = operation.get_rt_info()
        if info["layerType"].astype(str) in {"Convolution", "Deconvolution"}:
            precision = info["runtimePrecision"].astype(str)
            convolutions[_layer_name(info["originalLayersNames"].astype(str))] = _NAMES.get(
                precision, precision
            )
    return LayerPrecisions("engine", convolutions)


def processor_name() -> str:
    """Name the processor that engines run on."""
    return str(_core().get_property("CPU", "FULL_DEVICE_NAME")).strip()


def _layer_name(fused: str) -> str:
    """Choose the convolution's own name among those of the layers fused into it.

    OpenVINO calls a transposed convolution with bias ``ConvolutionBackpropData_7`` and gives the
    name that the network has for it to the addition of the bias, next in the list.
    """
    names = fused.split(",")
    own = names[1] if names[0].startswith("ConvolutionBackpropData_") and names[1:] else names[0]
    return own.removesuffix("/WithoutBiases")


class OpenVINOSession(Session):
    """Runs an engine on the CPU; the input is read in place, the result is copied out.

    Args:
        engine: built by the OpenVINO compiler.
        threads: inference threads, 0 for OpenVINO's choice.
    """

    def __init__(self, engine: Engine, threads: int = 0) -> None:
        manifest = engine.manifest
        self._model: ov.CompiledModel | None = compile_for_cpu(
            engine.path, manifest.precision, threads
        )
        self._request = self._model.create_infer_request()
        self.input_spec = TensorSpec("frames", "uint8", (1, None, None, 3), "NHWC, BGR")
        self.output_spec = TensorSpec(
            "classes", "uint8", (1, manifest.input.height, manifest.input.width), "NHW"
        )
        layers = executed_convolutions(self._model).convolutions.values()
        self.capabilities = Capabilities(
            runtime="openvino",
            device=processor_name(),
            precision="+".join(sorted(set(layers))) or manifest.precision,
        )

    def _run(self, frames: Frames) -> ClassMaps:
        if self._model is None:
            raise EngineError("the session is closed; open the engine again")
        # One frame at a time: the graph's batch is 1.
        maps = [
            self._request.infer({0: frame[None]}, share_inputs=True)[0].copy() for frame in frames
        ]
        return np.concatenate(maps).astype(np.uint8, copy=False)

    def close(self) -> None:
        self._model = None
        self._request = None
