"""TensorRT's part of ``bench``: times of an engine's layers on this GPU, and fixed loads."""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence
from functools import cache
from types import ModuleType
from typing import Any

from pipeline.engine.manifest import Engine, Manifest
from pipeline.runtimes.probe import ConvolutionWork, LayerTime, Load, Probe, Shape
from pipeline.runtimes.session import Frames
from pipeline.runtimes.tensorrt.load import TensorRTLoad, build_load
from pipeline.runtimes.tensorrt.platform import Platform, open_platform
from pipeline.runtimes.tensorrt.session import TensorRTSession

_WARM_UP = 3
#: Suffix that TensorRT's compiler appends to names, prefix of its own names, and the number that
#: the ONNX exporter appends.
_PLACE, _OPERATIONS, _NUMBER = re.compile(r"_myl\d+_\d+$"), "__myl_", re.compile(r"_\d+$")


class TensorRTProbe(Probe):
    """Args: ``platform``, the engines' TensorRT and the GPU."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def layers(self, engine: Engine, frames: Frames, runs: int) -> list[LayerTime]:
        counted: dict[int, list[float]] = {}
        session = TensorRTSession(engine, self._platform, eager=True)
        with session:
            for _ in range(_WARM_UP):
                session.run(frames)
            profiler = _profiler_class(self._platform.trt)()
            session.report_layers_to(profiler)
            for _ in range(runs):
                profiler.layers.clear()
                session.run(frames)
                for place, (_, ms) in enumerate(profiler.layers):
                    counted.setdefault(place, []).append(ms)
        return [
            _layer(name, statistics.median(counted[place]), engine.manifest)
            for place, (name, _) in enumerate(profiler.layers)
        ]

    def work(self, engine: Engine) -> list[ConvolutionWork]:
        return []  # a serialised engine does not describe the work of its layers

    def load(self, shapes: Sequence[Shape], precision: str, threads: int = 0) -> Load:
        trt, gpu = self._platform.trt, self._platform.gpu
        # Only TensorRT for RTX takes a target; TensorRT builds for this machine's GPU.
        target = gpu.info.architecture if hasattr(trt, "ComputeCapability") else None
        engines = [build_load(trt, shape, precision, target) for shape in shapes]
        return TensorRTLoad(trt, gpu, shapes, engines)


def classic_probe() -> Probe:
    return TensorRTProbe(open_platform("tensorrt"))


def rtx_probe() -> Probe:
    return TensorRTProbe(open_platform("tensorrt-rtx"))


def _layer(name: str, ms: float, manifest: Manifest) -> LayerTime:
    """Tell a fused layer's kind and precision from its name.

    TensorRT joins the names of fused layers with `` + `` or ``||``. Its compiler appends a suffix
    (``encoder.0.0.conv_myl0_1``), and names layers that begin with none of ours after their
    operations (``__myl_CastTranResh_myl0_4``).
    """
    whole = _PLACE.sub("", name)
    for part in re.split(r"\s*(?:\+|\|\|)\s*", whole):
        if part in manifest.layers.convolutions:
            precision = manifest.layers.convolutions[part]
            return LayerTime(part, "convolution", precision, ms)
    if whole.startswith(_OPERATIONS):
        return LayerTime(name, whole.removeprefix(_OPERATIONS), "", ms)
    return LayerTime(name, _NUMBER.sub("", whole.removeprefix("node_")), "", ms)


@cache
def _profiler_class(trt: ModuleType) -> type[Any]:
    class Profiler(trt.IProfiler):  # type: ignore[misc, name-defined]
        """Keeps name and milliseconds of each layer, in execution order."""

        def __init__(self) -> None:
            trt.IProfiler.__init__(self)
            self.layers: list[tuple[str, float]] = []

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            """Receive one layer of a finished run."""
            self.layers.append((layer_name, ms))

    return Profiler
