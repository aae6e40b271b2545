"""Whether this machine has a GPU, found out without packages that need one."""

from __future__ import annotations

import ctypes
from functools import cache


@cache
def why_no_gpu() -> str | None:
    """Say why the driver cannot be used here; None where it can.

    The driver is asked, since a machine may have its library but no GPU, or the reverse.
    """
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "no NVIDIA driver is installed (libcuda.so.1 is not there)"
    if status := driver.cuInit(0):
        return f"the NVIDIA driver does not start (cuInit gives {status}); see nvidia-smi"
    count = ctypes.c_int(0)
    if (status := driver.cuDeviceGetCount(ctypes.byref(count))) or not count.value:
        return f"the NVIDIA driver finds no GPU (cuDeviceGetCount gives {status}); see nvidia-smi"
    return None
