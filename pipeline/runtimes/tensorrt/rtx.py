"""TensorRT for RTX engines, built ahead of time for GPUs of other machines.

Without a target the builder makes one engine for Ampere and later. A few named targets make it
smaller. Turing cannot be combined with others: see :meth:`check_targets`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING

import tensorrt_rtx as trt

from pipeline.engine.compatibility import AMPERE_AND_LATER
from pipeline.errors import BuildError
from pipeline.progress import Progress
from pipeline.runtimes.compiler import Compiled, Job
from pipeline.runtimes.tensorrt.compiler import TensorRTCompiler

if TYPE_CHECKING:
    from calibration.quantizer.placement import Placement

#: Architectures that this TensorRT for RTX can target, ``sm75`` to ``sm121``.
TARGETS = tuple(name.lower() for name in trt.ComputeCapability.__members__ if name.startswith("SM"))

_TURING = "sm75"

_REQUANTISES = (
    "TensorRT for RTX requantises between INT8 convolutions in separate kernels, which FP16 does "
    "not need: measure before you choose INT8 on a desktop GPU (docs/performance.md)"
)


class TensorRTRTXCompiler(TensorRTCompiler):
    """Writes one ``.engine`` for one or several GPU architectures."""

    runtime = "tensorrt-rtx"
    ahead_of_time = True

    @property
    def trt(self) -> ModuleType:
        module: ModuleType = trt
        return module

    def check_targets(self, targets: tuple[str, ...], precision: str) -> tuple[str, ...]:
        """Return the targets, ``sm80+`` where none is given.

        An engine for several targets uses only what all of them compute. By the builder's list of
        layers, an engine with Turing among its targets has no convolution in INT8, and in FP16
        engines of MobileNet's kind grow 13 times.
        """
        unknown = [target for target in targets if target not in (*TARGETS, AMPERE_AND_LATER)]
        if unknown:
            raise BuildError(
                f"unknown GPU architecture {unknown[0]!r}; TensorRT for RTX {trt.__version__} "
                f"builds for {', '.join(TARGETS)}, and without --target for Ampere and later"
            )
        if _TURING in targets and precision == "int8":
            raise BuildError(
                f"--target {','.join(targets)} was given with INT8, but TensorRT for RTX computes "
                f"no convolution in INT8 where Turing ({_TURING}) is among the targets; build with "
                f"--precision fp16 for {_TURING}, and INT8 for the others"
            )
        for alone in (_TURING, AMPERE_AND_LATER):
            if alone in targets and len(targets) > 1:
                rest = ",".join(target for target in targets if target != alone)
                raise BuildError(
                    f"--target {','.join(targets)} was given, but {alone} has to be alone: an "
                    "engine uses only what all of its targets compute; build one engine for "
                    f"{alone} and one for {rest}"
                )
        return targets or (AMPERE_AND_LATER,)

    def kept_out_of_int8(self, placement: Placement) -> Mapping[str, str]:
        """Depthwise convolutions, whose groups the builder makes four channels wide.

        By its list of layers it writes an input with four times the channels, three quarters of
        them zeros, and stores these zeros in the engine: 37 MB in ``deeplab_v3plus_lite``'s.
        """
        why = "depthwise: TensorRT for RTX would read four times its channels, most of them zeros"
        return {**super().kept_out_of_int8(placement), **dict.fromkeys(placement.depthwise, why)}

    def compile(self, job: Job, progress: Progress) -> Compiled:
        # Measured: the build fails with a single convolution with INT8 input and weights.
        if job.precision == "int8" and tuple(map(int, trt.__version__.split(".")[:2])) < (1, 7):
            raise BuildError(
                f"TensorRT for RTX {trt.__version__} builds no INT8 convolutions, 1.7 does; build "
                "with --front-end onnx where torch-tensorrt-rtx, which brings it, is not installed"
            )
        return super().compile(job, progress)

    def warnings(self, job: Job) -> tuple[str, ...]:
        return (_REQUANTISES,) if job.precision == "int8" else ()
