"""Memory of this process, in bytes."""

from __future__ import annotations

import re
import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def resident() -> int | None:
    """Bytes in memory now; None where the system does not say."""
    return _field("VmRSS")


def peak_resident() -> int:
    """Most bytes that were in memory at once since the process began."""
    # getrusage also counts what the parent had before it became this program, the status does not.
    peak = _field("VmHWM")
    if peak is not None:
        return peak
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _field(name: str) -> int | None:
    try:
        found = re.search(
            rf"^{name}:\s+(\d+) kB", _STATUS.read_text(encoding="ascii"), re.MULTILINE
        )
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None
