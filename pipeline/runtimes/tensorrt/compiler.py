"""What the compilers of TensorRT and TensorRT for RTX share: front end, network, engine."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from pkgutil import resolve_name
from types import ModuleType
from typing import Any

from models.install import use_torch_tensorrt
from pipeline.errors import BuildError, RuntimeMissingError
from pipeline.progress import Progress
from pipeline.runtimes.compiler import BuilderSettings, Compiled, Compiler, Job
from pipeline.runtimes.export import export_job
from pipeline.runtimes.tensorrt.builder_config import serialise
from pipeline.runtimes.tensorrt.byte_output import give_bytes_from_floats
from pipeline.runtimes.tensorrt.layer_list import read_back
from pipeline.runtimes.tensorrt.log import collecting_logger
from pipeline.runtimes.tensorrt.network import Filled, planned_convolutions
from pipeline.runtimes.tensorrt.scales import with_matching_scales, without_int8

#: Front end, by which TensorRT gets a network -> (module:function, remedy where it is missing).
FRONT_ENDS = {
    "onnx": ("pipeline.runtimes.tensorrt.network:fill_from_onnx", "install onnx"),
    "torch-tensorrt": ("pipeline.runtimes.tensorrt.torch_tensorrt:fill", use_torch_tensorrt()),
}

#: Takes TensorRT's module, the job, a logger and a progress report.
FrontEnd = Callable[[ModuleType, Job, Any, Progress], Filled]


def open_front_end(name: str) -> FrontEnd:
    """Import a front end.

    Raises:
        RuntimeMissingError: unknown, or its packages are not installed.
    """
    if name not in FRONT_ENDS:
        raise RuntimeMissingError(
            f"unknown front end {name!r}; TensorRT takes networks through {', '.join(FRONT_ENDS)}"
        )
    location, remedy = FRONT_ENDS[name]
    try:
        front_end: FrontEnd = resolve_name(location)
    except ImportError as error:
        raise RuntimeMissingError(
            f"--front-end {name} was given, which cannot be imported here ({error}); {remedy}"
        ) from error
    return front_end


class TensorRTCompiler(Compiler):
    """Writes one ``.engine``, with the types of the graph."""

    suffixes = (".engine",)
    strongly_typed = True
    #: Builds for named targets instead of the GPU of this machine.
    ahead_of_time = False

    @property
    @abstractmethod
    def trt(self) -> ModuleType:
        """``tensorrt`` or ``tensorrt_rtx``."""

    def warnings(self, job: Job) -> tuple[str, ...]:
        """Return what users should know about this engine before they rely on it."""
        return ()

    def require(self) -> None:
        _ = self.trt

    def default_precision(self) -> str:
        return "fp16"  # all supported GPUs compute it

    def export(self, job: Job, path: Path) -> None:
        export_job(job, job.floats, path)

    def compile(self, job: Job, progress: Progress) -> Compiled:
        try:
            return self._compile(job, progress)
        except BuildError as refused:
            if job.precision != "int8" or isinstance(job.graph, Path):
                raise
            try:
                compiled = self._compile(replace(job, keep_fp32=True), progress)
            except BuildError:
                raise refused from None  # the error of the requested form
            warning = f"between its INT8 convolutions it computes in FP32; with FP16: {refused}"
            return replace(compiled, warnings=(*compiled.warnings, warning))

    def _compile(self, job: Job, progress: Progress) -> Compiled:
        trt, logger = self.trt, collecting_logger(self.trt)
        front_end = job.form.front_end or "onnx"
        filled = open_front_end(front_end)(trt, job, logger, progress)
        filled = with_matching_scales(trt, without_int8(trt, filled, job.high_precision))
        give_bytes_from_floats(trt, filled.network)
        planned = planned_convolutions(trt, filled.network)
        engine = job.folder / f"{job.name}.engine"
        engine.write_bytes(serialise(trt, filled, job, logger, progress, self.ahead_of_time))
        progress("compiled", 1.0)
        return Compiled(
            (engine,),
            read_back(logger.layers, planned),
            str(trt.__version__),
            self.warnings(job),
            {"front_end": front_end, **_settings(job.form.builder)},
        )


def _settings(builder: BuilderSettings) -> dict[str, Any]:
    """Return the builder's settings that are not the defaults."""
    given = asdict(builder)
    del given["timing_cache"]  # changes how long a build takes, not what it builds
    return {name: value for name, value in given.items() if value}
