"""Whether an engine can run on this machine: what it was built with and for against what is here.

TensorRT ties an engine to its version, to the GPU's architecture and to the operating system
(NVIDIA TensorRT documentation, "Engine Compatibility"). Loading any other engine fails late, with
TensorRT's message, or not at all; so the manifest is checked before.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from pipeline.engine.manifest import Engine, Manifest
from pipeline.errors import IncompatibleEngineError

#: Target of TensorRT for RTX where none was named: Ampere and what came and comes after it.
AMPERE_AND_LATER = "sm80+"


@dataclass(frozen=True)
class GpuInfo:
    """A GPU, as far as engines are tied to it.

    Attributes:
        name: as the driver gives it.
        architecture: such as ``sm89``.
        cuda: newest CUDA version that the driver knows, major and minor.
        shares_memory: GPU and processor use the same memory, as on a Jetson.
    """

    name: str
    architecture: str
    cuda: tuple[int, int]
    shares_memory: bool = False


@dataclass(frozen=True)
class Machine:
    """What runs engines here.

    Attributes:
        runtime: ``tensorrt`` or ``tensorrt-rtx``.
        version: of TensorRT.
        gpu: the GPU and its driver.
        os, machine: operating system and kind of processor, in lower case.
    """

    runtime: str
    version: str
    gpu: GpuInfo
    os: str = field(default_factory=lambda: platform.system().lower())
    machine: str = field(default_factory=lambda: platform.machine().lower())


def check_compatible(engine: Engine, here: Machine) -> None:
    """Compare an engine with this machine.

    Raises:
        IncompatibleEngineError: lists everything that does not fit, with both values.
    """
    found = list(mismatches(engine.manifest, here))
    if found:
        raise IncompatibleEngineError(
            f"engine {engine.path} does not run here: {'; '.join(found)}; run with --rebuild if "
            "its bundle is beside it, or build it again for this machine"
        )


def mismatches(manifest: Manifest, here: Machine) -> Iterator[str]:
    """Yield the reasons why an engine cannot run here."""
    if manifest.runtime != here.runtime:
        yield f"it was built for {manifest.runtime}, here is {here.runtime}"
    elif not _version_fits(manifest, here.version):
        yield (
            f"it was built with TensorRT {manifest.runtime_version}, here is TensorRT "
            f"{here.version}"
        )
    if not architecture_fits(manifest, here.gpu.architecture):
        yield (
            f"it was built for {', '.join(manifest.targets)}, here is {here.gpu.name} "
            f"({here.gpu.architecture})"
        )
    built_on = manifest.built_on
    for name, value in (("os", here.os), ("machine", here.machine)):
        if name in built_on and built_on[name] != value:
            yield f"it was built on {built_on[name]}, here is {value}"
    driver = _numbers(built_on.get("driver", ""))
    if driver and here.gpu.cuda < driver[:2]:
        yield (
            f"it was built with a driver for {built_on['driver']}, the driver here is for CUDA "
            f"{here.gpu.cuda[0]}.{here.gpu.cuda[1]}: update it"
        )


def _version_fits(manifest: Manifest, version: str) -> bool:
    built, here = _numbers(manifest.runtime_version), _numbers(version)
    if manifest.settings.get("version_compatible") and manifest.runtime == "tensorrt":
        # "TensorRT 10 version-compatible engines can run with a TensorRT 11 runtime" (support
        # matrix of 11.4); no other step across major versions is supported.
        return built <= here and (built[0] == here[0] or (built[0], here[0]) == (10, 11))
    return built[:3] == here[:3]


def architecture_fits(manifest: Manifest, architecture: str) -> bool:
    """Whether an engine was built for a GPU of ``architecture``, such as ``sm89``."""
    if not manifest.targets or architecture in manifest.targets:
        return True
    later = AMPERE_AND_LATER in manifest.targets or manifest.settings.get("hardware_compatible")
    return bool(later) and _numbers(architecture) >= (80,)


def _numbers(text: str) -> tuple[int, ...]:
    """Return the numbers of a version, which compare right: as text, 10.3 is before 5.1."""
    return tuple(int(part) for part in re.findall(r"\d+", text))
