"""What a machine is, as far as figures of another one of its class can be compared with its own."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Collection
from pathlib import Path

#: Instruction sets that decide how fast convolutions are, the most capable first, as the kernel
#: spells them in /proc/cpuinfo.
_TELLING = (
    "amx_int8",
    "avx512_vnni",
    "avx_vnni",
    "avx512f",
    "avx2",
    "sve",
    "i8mm",
    "asimddp",
    "asimd",
)
_CPUINFO = Path("/proc/cpuinfo")


def machine_class() -> str:
    """Architecture, instruction set and cores, such as ``x86_64-avx512_vnni-2``."""
    return class_of(platform.machine(), re.findall(r"[a-z0-9_]+", _cpuinfo()), cores())


def model_class() -> str:
    """Return the class of this very processor model, such as ``x86_64-6.143-2``.

    Two generations with the same instruction sets differ in how much faster they are at
    convolutions than at other work: by 14 to 46 %, measured on two with AMX.
    """
    return f"{platform.machine()}-{processor_model(_cpuinfo())}-{cores()}"


def processor_model(cpuinfo: str) -> str:
    """Family and model of an x86 processor, or implementer and part of an ARM one; else ``any``.

    Args:
        cpuinfo: text of ``/proc/cpuinfo``.
    """
    for first, second in (("cpu family", "model"), ("CPU implementer", "CPU part")):
        found = [re.search(rf"^{key}\s*: (\w+)$", cpuinfo, re.M) for key in (first, second)]
        if all(found):
            return ".".join(one[1] for one in found if one)
    return "any"


def _cpuinfo() -> str:
    try:
        return _CPUINFO.read_text(encoding="utf-8")
    except OSError:  # no Linux
        return ""


def class_of(architecture: str, flags: Collection[str], count: int) -> str:
    """Name the class of a machine with these processor flags and this many cores."""
    known = next((name for name in _TELLING if name in flags), "plain")
    return f"{architecture}-{known}-{count}"


def gpu_class(name: str) -> str:
    """Turn the name of a GPU into a class: ``NVIDIA RTX A4000`` -> ``nvidia_rtx_a4000``."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
