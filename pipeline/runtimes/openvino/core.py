"""Calls to OpenVINO; no other file of the project imports it.

The exception is ``runtimes/triton/python_model``, which a Triton server runs by itself.
"""

from __future__ import annotations

import functools
import hashlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import openvino as ov

from pipeline.engine.manifest import Engine, LayerPrecisions
from pipeline.errors import EngineError
from pipeline.runtimes.cache import folder_of, read_blob, write_blob
from pipeline.runtimes.openvino.frame_resize import FORM, without_resize

__all__ = [
    "AS_WRITTEN",
    "OUR_NAMES",
    "compile_for_cpu",
    "compiled",
    "computes",
    "executed_convolutions",
    "open_for_cpu",
    "ov",
    "processor_name",
    "read_model",
    "usual_settings",
]

#: OpenVINO's name of a precision -> ours.
OUR_NAMES = {"f32": "fp32", "f16": "fp16", "bf16": "bf16", "i8": "int8", "u8": "int8"}
#: In an INT8 engine everything that is not INT8 is computed in FP32.
_HINTS = {"fp32": "f32", "fp16": "f16", "bf16": "bf16", "int8": "f32"}

#: Executes Q/DQ pairs literally: they round, and the layers between them compute in FP32.
AS_WRITTEN = {"LP_TRANSFORMS_MODE": "NO"}


@functools.cache
def _core() -> ov.Core:
    """One for the whole process.

    With a Core per engine, a process crashed when an engine was replaced under load (``--watch``):
    the new engine's Core was destroyed while other threads were computing.

    Files are copied into memory. OpenVINO maps them by default; overwriting or truncating a mapped
    file ends the process (SIGBUS).
    """
    core = ov.Core()
    core.set_property({"ENABLE_MMAP": "NO"})
    return core


def computes(precision: str) -> bool:
    """Whether this CPU supports ``precision``; if not, OpenVINO computes in FP32."""
    return precision.upper() in _capabilities()


def _capabilities() -> list[str]:
    known: list[str] = _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return known


def read_model(xml: Path) -> ov.Model:
    """Read an OpenVINO IR with its ``.bin`` beside it.

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
        precision: the engine's; FP16 and BF16 become FP32 on CPUs without them.
        threads: inference threads, 0 for OpenVINO's choice.
        settings: OpenVINO's own, beside precision and lowest latency.

    Raises:
        EngineError: OpenVINO cannot read or compile it.
    """
    settings = dict(settings or {})
    if threads:
        settings["INFERENCE_NUM_THREADS"] = str(threads)
    try:
        return _core().compile_model(xml, "CPU", usual_settings(precision) | settings)
    except RuntimeError as error:
        raise _refused(str(xml), error) from error


def open_for_cpu(engine: Engine, settings: dict[str, str], cache: Path | None) -> ov.CompiledModel:
    """Compile a verified engine, or load it from the cache of compiled engines.

    Frames are resized outside it, see :mod:`pipeline.runtimes.openvino.frame_resize`.

    Args:
        engine: OpenVINO IR, ``.xml`` and ``.bin``; their bytes are verified while they are read.
        settings: OpenVINO's own, beside precision and lowest latency.
        cache: folder of compiled engines, None for no cache. Damaged entries are compiled again.

    Raises:
        EngineError: the files changed since they were verified, or OpenVINO refuses them.
    """
    settings = usual_settings(engine.manifest.precision) | settings
    kept = None if cache is None else _place(cache, engine, settings)
    try:
        if kept is not None and (blob := read_blob(kept)) is not None:
            with suppress(RuntimeError):  # intact, but from another OpenVINO: compiled again
                return _core().import_model(_tensor(blob), "CPU", settings)
        weights = _tensor(engine.read(1))
        network = without_resize(ov, _core().read_model(engine.read(0), weights))
        model = _core().compile_model(network, "CPU", settings)
    except RuntimeError as error:
        raise _refused(str(engine.path), error) from error
    if kept is not None:
        write_blob(kept, model.export_model().getbuffer())
    return model


def _tensor(content: bytes) -> ov.Tensor:
    """Copy bytes into memory that OpenVINO keeps as long as it needs them."""
    return ov.Tensor(np.frombuffer(content, np.uint8))


def _place(cache: Path, engine: Engine, settings: dict[str, str]) -> Path:
    """Path in the cache of an engine compiled by this OpenVINO for this processor."""
    tied_to = [
        ov.get_version(),
        processor_name(),
        sorted(_capabilities()),
        sorted(settings.items()),
        FORM,
    ]
    digest = hashlib.sha256(repr(tied_to).encode())
    return folder_of(cache, engine.manifest) / f"{digest.hexdigest()[:16]}.blob"


def compiled(
    model: ov.Model, precision: str, settings: dict[str, str] | None = None
) -> ov.CompiledModel:
    """Compile a network in memory, for the lowest latency unless ``settings`` say otherwise.

    The precision is always set: by default OpenVINO computes FP32 as BF16 where the processor
    supports it, and class maps would silently differ between machines.
    """
    return _core().compile_model(model, "CPU", usual_settings(precision) | (settings or {}))


def usual_settings(precision: str) -> dict[str, str]:
    """Return the settings with which every engine of ``precision`` is compiled."""
    hint = _HINTS[precision] if precision not in {"fp16", "bf16"} or computes(precision) else "f32"
    return {"INFERENCE_PRECISION_HINT": hint, "PERFORMANCE_HINT": "LATENCY"}


def _refused(what: str, error: RuntimeError) -> EngineError:
    reason = str(error).strip().splitlines()[-1]
    return EngineError(
        f"OpenVINO {ov.get_version()} cannot load {what} ({reason}); build the engine again "
        "with this version"
    )


def executed_convolutions(model: ov.CompiledModel) -> LayerPrecisions:
    """Read the precision in which each convolution runs from the execution graph."""
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


def _layer_name(fused: str) -> str:
    """Choose the convolution's own name among those of the layers fused into it.

    OpenVINO calls a transposed convolution with bias ``ConvolutionBackpropData_7`` and gives its
    name in the network to the addition of the bias, next in the list.
    """
    names = fused.split(",")
    own = names[1] if names[0].startswith("ConvolutionBackpropData_") and names[1:] else names[0]
    return own.removesuffix("/WithoutBiases")
