"""Starting TensorRT's runtime and loading an engine, with the reason where that fails.

With a driver that is too old TensorRT returns an invalid object, whose first use ends the process
(seen with the lean runtime of 11.4), and logs the reason. So the log is checked before the object
is used.
"""

from __future__ import annotations

import ctypes
import re
from typing import Any

from pipeline.engine.compatibility import GpuInfo
from pipeline.engine.manifest import Engine
from pipeline.errors import EngineError, IncompatibleEngineError, RuntimeMissingError

#: What TensorRT for RTX finds wrong with an engine -> remedy; for the rest it is another build.
_REMEDIES = {
    "OLD_CUDA_DRIVER": "update the NVIDIA driver",
    "OLD_CUDA_RUNTIME": "update the NVIDIA driver and TensorRT for RTX",
    "CUDA_ERROR": "restart the process, and look at dmesg for NVRM lines if it happens again",
    "INSUFFICIENT_GPU_MEMORY": "close other programs that use the GPU, or build the engine for "
    "smaller frames or a smaller batch",
}
_MEMORY = re.compile(r"out ?of ?memory|insufficient memory|cuMemAlloc|cudaMalloc", re.IGNORECASE)


def start_runtime(trt: Any, logger: Any, gpu: GpuInfo) -> Any:
    """Return TensorRT's runtime.

    Raises:
        RuntimeMissingError: it does not start here.
    """
    told = len(logger.errors)
    runtime = trt.Runtime(logger)
    if runtime is None or len(logger.errors) > told:
        # Kept alive for ever: freeing an invalid object would end the process, too.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(runtime))
        reason = " ".join(logger.errors[told].split()) if len(logger.errors) > told else "no reason"
        raise RuntimeMissingError(
            f"TensorRT {trt.__version__} does not start here ({reason}); the NVIDIA driver is for "
            f"CUDA {gpu.cuda[0]}.{gpu.cuda[1]}: update it, or install a TensorRT for that CUDA"
        )
    return runtime


def load_engine(trt: Any, runtime: Any, engine: Engine, logger: Any) -> Any:
    """Deserialise an engine whose files were verified.

    Raises:
        IncompatibleEngineError: it was not built for this machine; building it again helps.
        EngineError: it does not load for another reason.
    """
    settings = engine.manifest.settings
    if settings.get("version_compatible"):
        # Such an engine contains its runtime, which is machine code from whoever built it; allowed
        # only where the manifest says so.
        runtime.engine_host_code_allowed = True
    content = engine.read()
    if hasattr(runtime, "get_engine_validity"):  # only TensorRT for RTX has it
        _check_validity(trt, engine, *runtime.get_engine_validity(content))
    loaded = runtime.deserialize_cuda_engine(content)
    if loaded is None:
        kind = EngineError if _MEMORY.search("\n".join(logger.errors)) else IncompatibleEngineError
        remedy = (
            _REMEDIES["INSUFFICIENT_GPU_MEMORY"]
            if kind is EngineError
            else "build the engine again with this version, or run with --rebuild"
        )
        raise kind(
            f"TensorRT {trt.__version__} does not load it: {engine.path} "
            f"({logger.last_error()}); {remedy}"
        )
    return loaded


def _check_validity(trt: Any, engine: Engine, validity: Any, diagnostics: Any) -> None:
    if validity != trt.EngineValidity.INVALID:
        return
    known = trt.EngineInvalidityDiagnostics
    found = [name for name in known.__members__ if int(diagnostics) & int(getattr(known, name))]
    remedies = dict.fromkeys(_REMEDIES[name] for name in found if name in _REMEDIES)
    advice = "; ".join(remedies) or "build it again for this machine, or run with --rebuild"
    words = ", ".join(name.lower().replace("_", " ") for name in found) or "no reason given"
    kind = EngineError if remedies else IncompatibleEngineError
    raise kind(
        f"TensorRT for RTX {trt.__version__} does not take {engine.path} ({words}); {advice}"
    )
