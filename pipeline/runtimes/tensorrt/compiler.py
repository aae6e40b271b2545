"""What engines of TensorRT and of TensorRT for RTX have in common: front end, network, engine."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from pipeline.errors import RuntimeMissingError
from pipeline.progress import Progress
from pipeline.runtimes.compiler import BuilderSettings, Compiled, Compiler, Job
from pipeline.runtimes.export import export_job
from pipeline.runtimes.tensorrt.builder_config import serialise
from pipeline.runtimes.tensorrt.log import collecting_logger
from pipeline.runtimes.tensorrt.network import Filled, planned_convolutions

#: How a network gets into TensorRT -> (module:function, what to do where it cannot be imported).
FRONT_ENDS = {
    "onnx": ("pipeline.runtimes.tensorrt.network:fill_from_onnx", "install onnx"),
    "torch-tensorrt": (
        "pipeline.runtimes.tensorrt.torch_tensorrt:fill",
        "run scripts/environment.sh torch-tensorrt and build with that environment",
    ),
}

#: Takes TensorRT's module, the job, a logger and a progress report.
FrontEnd = Callable[[ModuleType, Job, Any, Progress], Filled]


def open_front_end(name: str) -> FrontEnd:
    """Return the front end ``name``.

    Raises:
        RuntimeMissingError: unknown, or its packages are not installed.
    """
    if name not in FRONT_ENDS:
        raise RuntimeMissingError(
            f"unknown front end {name!r}; TensorRT takes networks through {', '.join(FRONT_ENDS)}"
        )
    location, remedy = FRONT_ENDS[name]
    module, function = location.split(":")
    try:
        front_end: FrontEnd = getattr(import_module(module), function)
    except ImportError as error:
        raise RuntimeMissingError(
            f"--front-end {name} was given, which cannot be imported here ({error}); {remedy}"
        ) from error
    return front_end


class TensorRTCompiler(Compiler):
    """Writes one ``.engine``; the network is strongly typed, nothing is lowered behind a back."""

    suffixes = (".engine",)
    strongly_typed = True
    #: Builds for named targets rather than for the GPU at hand.
    ahead_of_time = False

    @property
    @abstractmethod
    def trt(self) -> ModuleType:
        """``tensorrt`` or ``tensorrt_rtx``."""

    @abstractmethod
    def warnings(self, job: Job) -> tuple[str, ...]:
        """What users should know about this engine before they rely on it."""

    def require(self) -> None:
        _ = self.trt

    def default_precision(self) -> str:
        return "fp16"  # every GPU that is supported computes it

    def export(self, job: Job, path: Path) -> None:
        export_job(job, "fp32" if job.precision == "fp32" else "fp16", path)

    def compile(self, job: Job, progress: Progress) -> Compiled:
        logger = collecting_logger(self.trt)
        filled = open_front_end(job.front_end)(self.trt, job, logger, progress)
        layers = planned_convolutions(self.trt, filled.network)
        engine = job.folder / f"{job.name}.engine"
        engine.write_bytes(serialise(self.trt, filled, job, logger, progress, self.ahead_of_time))
        progress("compiled", 1.0)
        return Compiled(
            (engine,),
            layers,
            str(self.trt.__version__),
            self.warnings(job),
            {"front_end": job.front_end, **_settings(job.builder)},
        )


def _settings(builder: BuilderSettings) -> dict[str, Any]:
    """Return what was asked of the builder and is not its default."""
    given = asdict(builder)
    del given["timing_cache"]  # changes how long a build takes, not what it builds
    return {name: value for name, value in given.items() if value}
