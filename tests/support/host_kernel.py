"""The GPU's kernel on the processor: its own source, compiled by the system's C++ compiler."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path
from typing import Any

from pipeline.runtimes.tensorrt.cuda.gpu import Size
from pipeline.runtimes.tensorrt.cuda.painting import kernel_source

#: CUDA's built-ins for a kernel, for one thread at a time.
_PRELUDE = """
#include <cmath>
struct Place { unsigned x, y, z; };
static Place blockIdx, blockDim, threadIdx;
#define __global__
static int __float2int_rn(float value) { return (int)std::nearbyintf(value); }
"""

_DRIVER = """
extern "C" void run(const unsigned* grid, const unsigned* block,
    const unsigned char* frames, const unsigned char* classes, const unsigned short* columns,
    const unsigned short* rows, const unsigned char* palette, unsigned char* blended, int height,
    int width, int map_height, int map_width, float opacity)
{
    blockDim = {block[0], block[1], block[2]};
    for (blockIdx.z = 0; blockIdx.z < grid[2]; ++blockIdx.z)
    for (blockIdx.y = 0; blockIdx.y < grid[1]; ++blockIdx.y)
    for (blockIdx.x = 0; blockIdx.x < grid[0]; ++blockIdx.x)
    for (threadIdx.y = 0; threadIdx.y < block[1]; ++threadIdx.y)
    for (threadIdx.x = 0; threadIdx.x < block[0]; ++threadIdx.x)
        overlay(frames, classes, columns, rows, palette, blended, height, width, map_height,
                map_width, opacity);
}
"""


class HostKernel:
    """Args: ``folder`` for the compiled library."""

    def __init__(self, folder: Path) -> None:
        source, library = folder / "overlay.cpp", folder / "overlay.so"
        source.write_text(_PRELUDE + kernel_source() + _DRIVER, encoding="utf-8")
        # Without contraction, like NVRTC, so that the same products and sums are rounded.
        options = ["-O2", "-shared", "-fPIC", "-ffp-contract=off"]
        subprocess.run(["c++", *options, "-o", str(library), str(source)], check=True)
        self._run = ctypes.CDLL(str(library)).run

    def __call__(self, grid: Size, block: Size, *values: Any) -> None:
        """Run all threads, one after the other."""
        *pointers, height, width, map_height, map_width, opacity = values
        sizes = [ctypes.c_int(int(value)) for value in (height, width, map_height, map_width)]
        self._run(
            (ctypes.c_uint * 3)(*grid),
            (ctypes.c_uint * 3)(*block),
            *pointers,
            *sizes,
            ctypes.c_float(opacity),
        )
