"""The interface of all compilers: a deployment graph in, engine files out."""

from __future__ import annotations

import platform
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.engine.manifest import LayerPrecisions
from pipeline.graph.frame_sizes import USUAL_SIZES, Sizes
from pipeline.progress import Progress

if TYPE_CHECKING:
    from calibration.quantizer.placement import Placement
    from pipeline.graph.deployment import DeploymentGraph
    from pipeline.graph.fp16 import FP16Graph
    from pipeline.graph.qdq import QDQGraph

#: Names of input and output in ONNX files and engines.
INPUT, OUTPUT = "frames", "classes"


#: File in the engines' folder for TensorRT's timing cache.
TIMING_CACHE = "tensorrt-times.cache"


@dataclass(frozen=True)
class BuilderSettings:
    """Settings of TensorRT's builder; other runtimes have none.

    Attributes:
        workspace: most bytes of GPU memory that one layer may use while the engine is built and
            run; None for no limit, with which small Jetsons run out of memory.
        version_compatible: the engine also runs on later versions of the same TensorRT generation;
            it contains a runtime for that, and some fusions are lost.
        hardware_compatible: the engine runs on every GPU from Ampere on, not only on the building
            one's kind; slower, since it uses no more shared memory than all of them have.
        timing_cache: file with the times of kernels, read and written by builds on a GPU.
    """

    workspace: int | None = None
    version_compatible: bool = False
    hardware_compatible: bool = False
    timing_cache: Path | None = None


DEFAULT_SETTINGS = BuilderSettings()


@dataclass(frozen=True, kw_only=True)
class EngineForm:
    """Options of an engine besides its network; every step of a build gets them.

    Attributes:
        targets: GPU architectures such as ``sm86``; empty for the runtime's default.
        batch: smallest, usual and largest number of frames in one run.
        sizes: width and height of the smallest, usual and largest frame.
        front_end: how TensorRT gets the network, ``onnx`` or ``torch-tensorrt``. For a compiler
            None is ONNX; a build fills in torch-tensorrt where it is installed.
        builder: settings of TensorRT's builder.
    """

    targets: tuple[str, ...] = ()
    batch: tuple[int, int, int] = (1, 1, 1)
    sizes: Sizes = USUAL_SIZES
    front_end: str | None = None
    builder: BuilderSettings = DEFAULT_SETTINGS


@dataclass(frozen=True)
class Job:
    """What to compile.

    Attributes:
        graph: the deployment graph, in eval mode, FP32 weights; quantised for ``int8``. Or the
            ONNX file that ``Compiler.export`` made of one, which needs no torch.
        name: stem of the files to write.
        precision: one of the compiler's.
        form: of the engine, with targets filled in.
        folder: for the files; a scratch folder of the build.
        int8: convolutions that must run in INT8.
        high_precision: INT8 convolutions of an ONNX file that must run in floating point.
        keep_fp32: with ``int8``, compute the other operations in FP32 instead of FP16.
    """

    graph: DeploymentGraph | FP16Graph | QDQGraph | Path
    name: str
    precision: str
    form: EngineForm
    folder: Path
    int8: tuple[str, ...] = ()
    high_precision: tuple[str, ...] = ()
    keep_fp32: bool = False

    @property
    def floats(self) -> str:
        """Type of unquantised operations in a strongly typed network, ``fp16`` or ``fp32``."""
        return "fp32" if self.keep_fp32 or self.precision == "fp32" else "fp16"

    @property
    def free_batch(self) -> bool:
        """Whether the number of frames is free, or more than one."""
        return self.form.batch != (1, 1, 1)


@dataclass(frozen=True)
class Compiled:
    """Result of a compiler.

    Attributes:
        files: engine files in ``Job.folder``; the first is the one that the runtime opens.
        layers: precision of each convolution, read back.
        runtime_version: of the library that built.
        warnings: what the user should know.
        settings: how it was built, for the manifest.
    """

    files: tuple[Path, ...]
    layers: LayerPrecisions
    runtime_version: str
    warnings: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


class Compiler(ABC):
    """Turns deployment graphs into engines of one runtime.

    Attributes:
        runtime: name in the compiler table and in manifests.
        suffixes: of the files it writes.
        precisions: that it can build.
        unsigned: takes unsigned bytes between layers, which suit INT8 tensors after a ReLU.
        strongly_typed: computes in the types of the graph, so FP16 must be in the graph.
    """

    runtime: str
    suffixes: tuple[str, ...]
    precisions: tuple[str, ...] = ("fp32", "fp16", "int8")
    unsigned: bool = False
    strongly_typed: bool = False

    @abstractmethod
    def default_precision(self) -> str:
        """Return FP16 where this runtime computes it on this machine or target, else FP32."""

    def require(self) -> None:  # noqa: B027  # most need nothing beyond what they import
        """Raise RuntimeMissingError where this compiler can export, but not build."""

    def machine(self) -> dict[str, str]:
        """Return what an engine built here may be tied to, besides the runtime's version."""
        return {"os": platform.system().lower(), "machine": platform.machine().lower()}

    def computed(self) -> tuple[str, ...]:
        """Return those of ``precisions`` that this machine computes, not replaces by another."""
        return self.precisions

    @abstractmethod
    def check_targets(self, targets: tuple[str, ...], precision: str) -> tuple[str, ...]:
        """Return the targets to build for in ``precision``, defaults filled in.

        Raises:
            BuildError: a target that is not known, or cannot be combined with the others.
        """

    def kept_out_of_int8(self, placement: Placement) -> Mapping[str, str]:
        """Return convolutions that are worse in INT8 than in FP16 with this runtime -> why.

        These are the classifiers, unless a runtime was measured: their few outputs are compared.
        """
        return dict.fromkeys(
            placement.classifiers, "classifier: its outputs are compared with each other"
        )

    @abstractmethod
    def export(self, job: Job, path: Path) -> None:
        """Write the graph of ``job`` to ``path`` as the ONNX file that this compiler reads.

        Raises:
            BuildError: the network holds something that cannot be exported.
        """

    @abstractmethod
    def compile(self, job: Job, progress: Progress) -> Compiled:
        """Build ``job``.

        Raises:
            BuildError: the runtime refused the network.
            RuntimeMissingError: the runtime is not installed.
        """
