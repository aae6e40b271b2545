"""The one interface of every compiler: a deployment graph in, engine files out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.engine import LayerPrecisions

if TYPE_CHECKING:
    from pipeline.deploy import DeploymentGraph
    from pipeline.quantised import QuantisedGraph

#: Called with (what is being done, share done 0..1) during long steps.
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Job:
    """What to compile.

    Attributes:
        graph: the deployment graph, in eval mode, FP32 weights; quantised for ``int8``.
        name: stem of the files to write.
        precision: one of the compiler's.
        targets: GPU architectures such as ``sm86``; empty for the machine at hand.
        folder: receives the files; a scratch folder that belongs to the build.
    """

    graph: DeploymentGraph | QuantisedGraph
    name: str
    precision: str
    targets: tuple[str, ...]
    folder: Path


@dataclass(frozen=True)
class Compiled:
    """What a compiler made.

    Attributes:
        files: engine files in ``Job.folder``, the one the runtime opens first.
        layers: precision of each convolution, read back.
        runtime_version: of the library that built.
        warnings: what the user should know.
    """

    files: tuple[Path, ...]
    layers: LayerPrecisions
    runtime_version: str
    warnings: tuple[str, ...] = ()


class Compiler(ABC):
    """Turns deployment graphs into engines of one runtime.

    Attributes:
        runtime: name in the compiler table and in manifests.
        suffixes: of the files it writes.
        precisions: that it can build.
        unsigned: takes unsigned bytes between layers, which INT8 tensors behind a ReLU profit from.
    """

    runtime: str
    suffixes: tuple[str, ...]
    precisions: tuple[str, ...] = ("fp32", "fp16", "int8")
    unsigned: bool = False

    @abstractmethod
    def default_precision(self) -> str:
        """FP16 where this runtime computes it on this machine or target, else FP32."""

    def computed(self) -> tuple[str, ...]:
        """Those of ``precisions`` that are computed as such here, and not in another one."""
        return self.precisions

    @abstractmethod
    def check_targets(self, targets: tuple[str, ...]) -> tuple[str, ...]:
        """Return the targets to build for, defaults filled in.

        Raises:
            BuildError: a target that this compiler does not know.
        """

    @abstractmethod
    def compile(self, job: Job, progress: Progress) -> Compiled:
        """Build ``job``.

        Raises:
            BuildError: the runtime refused the network.
            RuntimeMissingError: the runtime is not installed.
        """
