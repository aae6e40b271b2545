"""This processor: its cores, and the instruction sets that decide the speed of each precision."""

from __future__ import annotations

import os
import re
from pathlib import Path

#: In order of appearance; the last two are for ARM.
_TELLING = (
    "avx2",
    "avx_vnni",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_int8",
    "amx_bf16",
    "asimddp",
    "fphp",
)
#: With one of these INT8 was measured to be faster than FP32 in OpenVINO (docs/decisions/006).
_OF_INT8 = ("amx_int8", "avx512_vnni", "avx_vnni")


def instructions() -> list[str]:
    """Return the relevant instruction sets of this processor."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    flags = set(re.findall(r"[a-z0-9_]+", text))
    return [name for name in _TELLING if name in flags]


def cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def why_int8_does_not_pay() -> str | None:
    """Why INT8 is not known to be faster than FP32 here; None if it is."""
    if set(_OF_INT8).intersection(instructions()):
        return None
    return "this processor has none of the instructions that make INT8 fast (VNNI, AMX)"
