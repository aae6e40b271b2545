"""The one interface of what a runtime tells about an engine's cost and about this machine."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import import_module

from pipeline.engine.manifest import Engine
from pipeline.runtimes.session import Frames

#: runtime of a manifest -> module:function that gives its probe.
PROBES = {
    "openvino": "pipeline.runtimes.openvino.probe:probe",
    "tensorrt": "pipeline.runtimes.tensorrt.probe:classic_probe",
    "tensorrt-rtx": "pipeline.runtimes.tensorrt.probe:rtx_probe",
}

#: Convolutions of one shape in a row in a load: what surrounds them is then a small part of it.
IN_A_ROW = 4


@dataclass(frozen=True)
class LayerTime:
    """Attributes: ``name``, ``kind`` of operation, ``precision`` executed, median ``ms``."""

    name: str
    kind: str
    precision: str
    ms: float


@dataclass(frozen=True)
class ConvolutionWork:
    """What one convolution of an engine has to do.

    Attributes:
        precision: in which it is executed.
        macs: multiply-adds.
        elements: values that it has to read and write once: input, weights and output.
    """

    precision: str
    macs: int
    elements: int


@dataclass(frozen=True)
class Shape:
    """A square convolution that keeps its size: ``channels`` in and out, on height x width."""

    channels: int
    height: int
    width: int
    kernel: int = 3

    @property
    def macs(self) -> int:
        """Multiply-adds of one run."""
        return self.channels**2 * self.kernel**2 * self.height * self.width


class Load(AbstractContextManager["Load"]):
    """Fixed work through a runtime. Attributes: ``macs``, multiply-adds of one run."""

    macs: int

    @abstractmethod
    def close(self) -> None:
        """Release what is held; calling it again does nothing."""

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def run(self) -> None:
        """Do it once; returns when it is done."""

    def seconds(self) -> float:
        """Do it once and return how long it took."""
        start = time.perf_counter()
        self.run()
        return time.perf_counter() - start


class Probe(ABC):
    """Asked by ``bench``; nothing that streams needs it."""

    @abstractmethod
    def layers(self, engine: Engine, frames: Frames, runs: int) -> list[LayerTime]:
        """Time every layer of an engine: medians of ``runs`` on ``frames``, in execution order.

        Counting costs time itself, so the sum is larger than the latency without it.
        """

    @abstractmethod
    def work(self, engine: Engine) -> list[ConvolutionWork]:
        """Return what the convolutions and matrix products of an engine have to do."""

    @abstractmethod
    def load(self, shapes: Sequence[Shape], precision: str, threads: int = 0) -> Load:
        """Make convolutions in a precision, each of another shape, run one after the other.

        Args:
            shapes: of the convolutions.
            precision: in which they are computed.
            threads: of a processor; 0 for the runtime's choice.

        Raises:
            EngineError: this machine has no arithmetic of the precision.
        """


def probe_for(runtime: str) -> Probe | None:
    """Return the probe of a runtime; None where there is none."""
    if runtime not in PROBES:
        return None
    module, name = PROBES[runtime].split(":")
    made: Probe = getattr(import_module(module), name)()
    return made
