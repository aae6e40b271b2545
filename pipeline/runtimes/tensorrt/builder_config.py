"""From a filled TensorRT network to engine bytes: builder settings, targets, profiles, progress."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from types import ModuleType
from typing import Any

from models.atomic import atomic_path
from pipeline.engine.compatibility import AMPERE_AND_LATER
from pipeline.errors import BuildError
from pipeline.progress import Progress
from pipeline.runtimes.compiler import Job
from pipeline.runtimes.tensorrt.network import Filled


def serialise(
    trt: ModuleType,
    filled: Filled,
    job: Job,
    logger: Any,
    progress: Progress,
    ahead_of_time: bool,
) -> memoryview:
    """Build the network and return the bytes of its engine.

    Args:
        trt: ``tensorrt`` or ``tensorrt_rtx``.
        filled: a network with one input, (N, H, W, 3) uint8.
        job: targets, batch and builder settings.
        logger: of the builder; its last error is quoted.
        progress: called while TensorRT works.
        ahead_of_time: for the job's targets, without a GPU; else for the GPU of this machine.

    Raises:
        BuildError: TensorRT did not build it, or does not have a setting.
    """
    config = filled.builder.create_builder_config()
    if ahead_of_time and job.form.targets != (AMPERE_AND_LATER,):
        config.num_compute_capabilities = len(job.form.targets)
        for index, target in enumerate(job.form.targets):
            config.set_compute_capability(getattr(trt.ComputeCapability, target.upper()), index)
    # With it the builder lists its layers, which cannot be read back otherwise without a GPU.
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    config.progress_monitor = _monitor_class(trt)(progress)
    _apply_settings(trt, config, job)
    _add_profile(filled, config, job)
    # A timing cache needs a GPU.
    times = None if ahead_of_time else _open_timing_cache(config, job)
    serialised = filled.builder.build_serialized_network(filled.network, config)
    if serialised is None:
        raise BuildError(
            f"{trt.__name__} {trt.__version__} did not build the network "
            f"({logger.last_error()}); {_remedy(job, logger.errors)}"
        )
    if times is not None and job.form.builder.timing_cache is not None:
        with atomic_path(job.form.builder.timing_cache) as temporary:
            temporary.write_bytes(memoryview(times.serialize()))
    return memoryview(serialised)


def _remedy(job: Job, errors: Sequence[str]) -> str:
    if job.form.builder.version_compatible:
        return "build without --version-compatible, which needs a library of its own"
    text = "\n".join(errors)
    named = [name for name in job.int8 if re.search(rf"(?<![\w.]){re.escape(name)}(?![\w.])", text)]
    if named:
        return f"keep it in floating point with --high-precision {','.join(named)}"
    if job.int8:
        return "keep the layer that it names in floating point with --high-precision LAYER"
    return "rewrite the layer that it names"


def _apply_settings(trt: ModuleType, config: Any, job: Job) -> None:
    settings = job.form.builder
    if job.precision == "fp32":
        # By default TensorRT rounds the factors of FP32 products to 10 bits (TF32).
        config.clear_flag(trt.BuilderFlag.TF32)
    if settings.workspace is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, settings.workspace)
    if settings.version_compatible:
        config.set_flag(_known(trt, trt.BuilderFlag, "VERSION_COMPATIBLE"))
    if settings.hardware_compatible:
        level = _known(trt, trt, "HardwareCompatibilityLevel").AMPERE_PLUS
        config.hardware_compatibility_level = level
        if config.hardware_compatibility_level != level:  # TensorRT for RTX ignores it
            raise BuildError(
                f"--ampere-plus was given, which {trt.__name__} {trt.__version__} does not have; "
                "name the GPUs with --target instead"
            )


def _known(trt: ModuleType, holder: Any, name: str) -> Any:
    if not hasattr(holder, name):
        raise BuildError(
            f"{trt.__name__} {trt.__version__} has no {name}; build without that option, or with "
            "the other runtime"
        )
    return getattr(holder, name)


def _add_profile(filled: Filled, config: Any, job: Job) -> None:
    profile = filled.builder.create_optimization_profile()
    shapes = [
        (frames, height, width, 3)
        for frames, (width, height) in zip(job.form.batch, job.form.sizes, strict=True)
    ]
    profile.set_shape(filled.network.get_input(0).name, *shapes)
    config.add_optimization_profile(profile)


def _open_timing_cache(config: Any, job: Job) -> Any | None:
    path = job.form.builder.timing_cache
    if path is None:
        return None
    times = config.create_timing_cache(path.read_bytes() if path.exists() else b"")
    # TensorRT refuses a cache of another GPU or version; it is then replaced by an empty one.
    if not config.set_timing_cache(times, ignore_mismatch=False):
        times = config.create_timing_cache(b"")
        config.set_timing_cache(times, ignore_mismatch=False)
    return times


@cache
def _monitor_class(trt: ModuleType) -> type:
    class Monitor(trt.IProgressMonitor):  # type: ignore[misc, name-defined]
        """Turns TensorRT's nested phases into the share that is done."""

        def __init__(self, progress: Progress) -> None:
            trt.IProgressMonitor.__init__(self)
            self._progress = progress
            self._steps: dict[str, int] = {}

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            """Begin a phase; only top-level ones count."""
            if parent is None:
                self._steps[phase] = max(steps, 1)

        def step_complete(self, phase: str, step: int) -> bool:
            """Advance a phase; True lets TensorRT go on."""
            if phase in self._steps:
                share = min(1.0, (step + 1) / self._steps[phase])
                self._progress("building", 0.4 + 0.6 * share)
            return True

        def phase_finish(self, phase: str) -> None:
            """End a phase."""
            self._steps.pop(phase, None)

    return Monitor
