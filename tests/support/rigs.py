"""What the tests of the CUDA session run on: the double, the stand-in driver, and a real GPU.

The double is this project's own GPU in Python. On the stand-in and on a GPU the session uses the
real pycuda, through the real driver module. TensorRT is replaced by a module whose engines are ONNX
files, run by ONNX Runtime, or by PyTorch on a GPU, on the session's own stream.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from device_double import GpuDouble
from host_kernel import HostKernel
from stand_in_driver import StandIn, StandInMachine, stand_in
from tensorrt_double import Machine, TensorRTDouble
from torch import nn

from models.classes import CAMVID
from models.spec import InputSpec, LoadedWeights
from pipeline.engine.manifest import Engine, EngineFile, LayerPrecisions, Manifest, describe_file
from pipeline.engine.records import FrameRange
from pipeline.runtimes.onnx_export import export_onnx
from pipeline.runtimes.tensorrt.cuda.gpu import Gpu
from pipeline.runtimes.tensorrt.cuda.presence import why_no_gpu
from pipeline.runtimes.tensorrt.platform import Platform

#: The driver's name of a call -> the double's name.
_NAMES = {
    "cuEventSynchronize": "event.synchronize",
    "cuMemcpyHtoDAsync": "copy_in",
    "cuMemcpyDtoHAsync": "copy_out",
    "cuMemAlloc": "device_memory",
    "cuMemHostAlloc": "host_memory",
    "cuMemFree": "free",
    "cuMemFreeHost": "free",
    "cuLaunchHostFunc": "execution itself",
}


class Rig(ABC):
    """A GPU and the replacement for TensorRT on it. Attributes: ``gpu``, ``machine``."""

    gpu: Gpu
    machine: Machine
    #: Whether it records its calls (``calls``) and what is still held (``held``).
    counts = True

    def trt(self, rtx: bool = False) -> Any:
        return TensorRTDouble(self.machine, rtx)

    @property
    def platform(self) -> Platform:
        return Platform(self.trt(), self.gpu)

    def share_memory(self) -> None:
        """Behave like a GPU that shares the processor's memory, as a Jetson's does."""
        self.gpu.info = replace(self.gpu.info, shares_memory=True)

    def write(self, graph: nn.Module, path: Path) -> None:
        """Write a deployment graph as an engine."""
        export_onnx(graph, path)

    @abstractmethod
    def calls(self) -> list[str]:
        """Return all driver calls so far, with the double's names where it has them."""

    @abstractmethod
    def held(self) -> str:
        """Return what was made through this rig and not released; "" for nothing."""


class DoubleRig(Rig):
    def __init__(self, host_kernel: HostKernel) -> None:
        self.machine = self.gpu = self.double = GpuDouble(host_kernel)

    def calls(self) -> list[str]:
        return self.double.ledger.calls

    def held(self) -> str:
        return ", ".join(sorted(type(thing).__name__ for thing in self.double.ledger.held))


class StandInRig(Rig):
    def __init__(self, driver: StandIn) -> None:
        from pipeline.runtimes.tensorrt.cuda.driver import open_gpu

        self._driver = driver
        self.machine = StandInMachine(driver)
        self.gpu = open_gpu()
        self.gpu.info = replace(self.gpu.info, shares_memory=False)
        driver.complaints()
        self._before = driver.held()  # the context, and what other tests left behind

    def calls(self) -> list[str]:
        return [_NAMES.get(name, name) for name in self._driver.calls()]

    def held(self) -> str:
        now = self._driver.held()
        complaints = "; ".join(self._driver.complaints())
        return complaints or (now if now != self._before else "")


class GpuRig(Rig):
    counts = False

    def __init__(self) -> None:
        from torch_machine import TorchMachine

        from pipeline.runtimes.tensorrt.cuda.driver import open_gpu

        self.machine = TorchMachine()
        self.gpu = open_gpu()
        self.gpu.info = replace(self.gpu.info, shares_memory=False)

    def write(self, graph: nn.Module, path: Path) -> None:
        from torch_machine import save_graph

        save_graph(graph, path)

    def calls(self) -> list[str]:
        pytest.skip("a GPU does not tell what it was asked")

    def held(self) -> str:
        return ""


def require_stand_in() -> StandIn:
    """Return the stand-in, or skip a test or a whole file: it has to be loaded from the start."""
    if (driver := stand_in()) is not None:
        return driver
    reason = "the stand-in driver is not loaded: scripts/check_pycuda.sh runs this over it"
    if os.environ.get("ROADSEG_REQUIRE_STAND_IN") == "1":
        pytest.fail(reason)
    pytest.skip(reason, allow_module_level=True)


def open_stand_in_rig() -> Rig:
    """Open the stand-in, or skip."""
    return StandInRig(require_stand_in())


def open_gpu_rig() -> Rig:
    """Open this machine's GPU, or skip."""
    if stand_in() is not None:
        pytest.skip("no GPU test of the session: the stand-in driver is loaded")
    if reason := why_no_gpu():
        pytest.skip(f"no GPU test of the session: {reason}")
    pytest.importorskip("pycuda.driver", exc_type=ImportError)
    return GpuRig()


#: Parameters of tests that run on every rig.
RIGS = (
    pytest.param("double"),
    pytest.param("stand-in"),
    pytest.param("gpu", marks=pytest.mark.gpu),
)


def open_rig(name: str, host_kernel: Callable[[], HostKernel]) -> Rig:
    """Open a rig by its name.

    Args:
        name: one of :data:`RIGS`.
        host_kernel: the overlay compiled for the processor, where that is needed.
    """
    if name == "double":
        return DoubleRig(host_kernel())
    return open_stand_in_rig() if name == "stand-in" else open_gpu_rig()


def small_input() -> InputSpec:
    """Return the preprocessing of the small networks of these tests."""
    return InputSpec(120, 90)


def write_engine(rig: Rig, graph: nn.Module, folder: Path) -> Engine:
    """Write a deployment graph of :func:`small_input` as an engine of a rig."""
    file = folder / "double.engine"
    rig.write(graph, file)
    return Engine(small_manifest(describe_file(file), rig.gpu.info.architecture), folder)


def small_manifest(file: EngineFile, architecture: str) -> Manifest:
    """Describe an engine file of the doubles: batches of two to four frames."""
    frames = FrameRange(batch=4, batch_range=(2, 3, 4), smallest=64, largest=3840)
    return Manifest(
        name="double",
        model="none",
        variant={},
        weights=LoadedWeights("none", "0" * 64),
        classes=CAMVID,
        input=small_input(),
        frames=frames,
        precision="fp32",
        layers=LayerPrecisions("network", {"0": "fp32", "2": "fp32"}),
        runtime="tensorrt",
        runtime_version=TensorRTDouble.__version__,
        targets=(architecture,),
        files=(file,),
    )
