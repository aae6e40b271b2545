"""The interface through which runtimes give an engine's cost and this machine's speed."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pkgutil import resolve_name

from pipeline.engine.manifest import Engine
from pipeline.runtimes.session import Frames

#: runtime of a manifest -> module:function that returns its probe.
PROBES = {
    "openvino": "pipeline.runtimes.openvino.probe:probe",
    "tensorrt": "pipeline.runtimes.tensorrt.probe:classic_probe",
    "tensorrt-rtx": "pipeline.runtimes.tensorrt.probe:rtx_probe",
}

#: Number of convolutions of one shape in a row in a load, so that the rest of it is a small part.
IN_A_ROW = 4


@dataclass(frozen=True)
class LayerTime:
    """Attributes: ``name``, ``kind`` of operation, executed ``precision``, median ``ms``."""

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
        elements: number of values of input, weights and output, each read or written once.
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
    """A fixed computation by a runtime. Attributes: ``macs``, multiply-adds of one run."""

    macs: int

    @abstractmethod
    def close(self) -> None:
        """Release it; calling this again does nothing."""

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def run(self) -> None:
        """Run it once, to its end."""

    def seconds(self) -> float:
        """Run it once, and return how long that took."""
        start = time.perf_counter()
        self.run()
        return time.perf_counter() - start


class Probe(ABC):
    """What a runtime gives to ``bench``."""

    @abstractmethod
    def layers(self, engine: Engine, frames: Frames, runs: int) -> list[LayerTime]:
        """Time every layer of an engine: medians of ``runs`` on ``frames``, in execution order.

        Profiling takes time itself, so the sum is larger than the latency without it.
        """

    @abstractmethod
    def work(self, engine: Engine) -> list[ConvolutionWork]:
        """Return the work of an engine's convolutions and matrix products."""

    @abstractmethod
    def load(self, shapes: Sequence[Shape], precision: str, threads: int = 0) -> Load:
        """Make a load of convolutions of several shapes, one after the other.

        Args:
            shapes: of the convolutions.
            precision: in which they are computed.
            threads: of a processor; 0 for the runtime's choice.

        Raises:
            EngineError: this machine does not compute the precision.
        """


def probe_for(runtime: str) -> Probe | None:
    """Return the probe of a runtime; None where there is none."""
    if runtime not in PROBES:
        return None
    made: Probe = resolve_name(PROBES[runtime])()
    return made
