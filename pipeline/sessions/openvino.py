"""OpenVINO on the CPU. The only file, with its compiler, that imports ``openvino``."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import openvino as ov

from pipeline.engine import Engine, LayerPrecisions
from pipeline.errors import EngineError
from pipeline.sessions.base import (
    Capabilities,
    ClassMaps,
    Frames,
    Session,
    TensorSpec,
    filled,
)
from pipeline.sessions.cache import folder_of, forget_the_oldest

if TYPE_CHECKING:
    from pipeline.sessions.probe import Probe

#: OpenVINO's names of precisions, and ours.
OUR_NAMES = {"f32": "fp32", "f16": "fp16", "bf16": "bf16", "i8": "int8", "u8": "int8"}
#: What is not INT8 in an INT8 engine is computed in FP32.
_HINTS = {"fp32": "f32", "fp16": "f16", "bf16": "bf16", "int8": "f32"}

#: Leaves Q/DQ pairs as they are: they round, and what lies between them is computed in FP32.
AS_WRITTEN = {"LP_TRANSFORMS_MODE": "NO"}

#: Asks a compiled engine how many frames it should get at once.
_REQUESTS = "OPTIMAL_NUMBER_OF_INFER_REQUESTS"


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


def read_model(xml: Path) -> ov.Model:
    """Read an OpenVINO IR, its ``.bin`` beside it.

    Raises:
        EngineError: OpenVINO cannot read it.
    """
    try:
        return _core().read_model(xml)
    except RuntimeError as error:
        raise _refused(str(xml), error) from error


def compile_for_cpu(
    xml: Path, precision: str, threads: int = 0, settings: dict[str, str] | None = None
) -> ov.CompiledModel:
    """Compile an OpenVINO IR.

    Args:
        xml: the ``.xml`` file, its ``.bin`` beside it.
        precision: that of the engine; FP16 and BF16 fall to FP32 on CPUs without them.
        threads: inference threads, 0 for OpenVINO's choice.
        settings: OpenVINO's own, beside precision and lowest latency.

    Raises:
        EngineError: OpenVINO cannot read or compile it.
    """
    settings = dict(settings or {})
    if threads:
        settings["INFERENCE_NUM_THREADS"] = str(threads)
    try:  # by its path: what is in the cache is then found without reading the network
        return _core().compile_model(xml, "CPU", _usual(precision) | settings)
    except RuntimeError as error:
        raise _refused(str(xml), error) from error


def compiled(
    model: ov.Model, precision: str, settings: dict[str, str] | None = None
) -> ov.CompiledModel:
    """Compile a network in memory, for the lowest latency unless ``settings`` say otherwise.

    The precision is always set: left alone, OpenVINO computes FP32 as BF16 where the processor
    has it, and class maps would differ between machines without a word.
    """
    return _core().compile_model(model, "CPU", _usual(precision) | (settings or {}))


def _usual(precision: str) -> dict[str, str]:
    hint = _HINTS[precision] if precision not in {"fp16", "bf16"} or computes(precision) else "f32"
    return {"INFERENCE_PRECISION_HINT": hint, "PERFORMANCE_HINT": "LATENCY"}


def _refused(what: str, error: RuntimeError) -> EngineError:
    reason = str(error).strip().splitlines()[-1]
    return EngineError(
        f"OpenVINO {ov.get_version()} cannot load {what} ({reason}); build the engine again "
        "with this version"
    )


def executed_convolutions(model: ov.CompiledModel) -> LayerPrecisions:
    """Read from the execution graph in which precision each convolution runs."""
    convolutions = {}
    for operation in model.get_runtime_model().get_ops():
        info = operation.get_rt_info()
        if info["layerType"].astype(str) in {"Convolution", "Deconvolution"}:
            precision = info["runtimePrecision"].astype(str)
            convolutions[_layer_name(info["originalLayersNames"].astype(str))] = OUR_NAMES.get(
                precision, precision
            )
    return LayerPrecisions("engine", convolutions)


def processor_name() -> str:
    """Name the processor that engines run on."""
    return str(_core().get_property("CPU", "FULL_DEVICE_NAME")).strip()


def probe() -> Probe:
    """What measures engines of this runtime."""
    from pipeline.sessions.openvino_probe import OpenVINOProbe  # no camera needs it

    return OpenVINOProbe(ov)


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
        hint: ``latency`` computes one frame at a time with all threads, ``throughput`` as many
            at once as OpenVINO finds best, each with fewer threads.
        cache: folder for what is compiled here, so that it is read the next time.
        as_written: compute an INT8 engine in FP32, rounded where its file says so, and not in the
            processor's own INT8: slowly, and the same on every processor.
    """

    def __init__(
        self,
        engine: Engine,
        threads: int = 0,
        hint: str = "latency",
        cache: Path | None = None,
        as_written: bool = False,
    ) -> None:
        manifest = engine.manifest
        settings = {"PERFORMANCE_HINT": hint.upper()} | (AS_WRITTEN if as_written else {})
        if cache is not None:
            settings["CACHE_DIR"] = str(folder_of(cache, manifest))
        self._model: ov.CompiledModel | None = compile_for_cpu(
            engine.path, manifest.precision, threads, settings
        )
        if cache is not None:
            forget_the_oldest(cache)
        count = 1 if hint == "latency" else self._model.get_property(_REQUESTS)
        self._requests = [self._model.create_infer_request() for _ in range(count)]
        self._size = (manifest.input.height, manifest.input.width)
        self._fewest, _, self._most = manifest.frames.get("batch_range", (1, 1, 1))
        at_once = count * self._most
        self.input_spec = TensorSpec("frames", "uint8", (at_once, None, None, 3), "NHWC, BGR")
        self.output_spec = TensorSpec("classes", "uint8", (at_once, *self._size), "NHW")
        layers = executed_convolutions(self._model).convolutions.values()
        self.capabilities = Capabilities(
            runtime="openvino",
            device=processor_name(),
            precision="+".join(sorted(set(layers))) or manifest.precision,
        )

    def _run(self, frames: Frames) -> ClassMaps:
        if self._model is None:
            raise EngineError("the session is closed; open the engine again")
        maps = np.empty((len(frames), *self._size), np.uint8)
        parts = [slice(first, first + self._most) for first in range(0, len(frames), self._most)]
        for first in range(0, len(parts), len(self._requests)):
            under_way = list(zip(self._requests, parts[first:], strict=False))
            # Requests read the frames in place, so those that were filled up must stay.
            batches = [filled(frames[part], self._fewest) for _, part in under_way]
            for (request, _), batch in zip(under_way, batches, strict=True):
                request.start_async({0: batch}, share_inputs=True)
            for request, part in under_way:
                request.wait()
                maps[part] = request.get_output_tensor(0).data[: len(frames[part])]
        return maps

    def close(self) -> None:
        self._model = None
        self._requests = []
