"""Class maps drawn over frames on the GPU, so that finished pictures are copied back."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import RuntimeMissingError
from pipeline.runtimes.session import Tint
from pipeline.runtimes.tensorrt.cuda import nvrtc
from pipeline.runtimes.tensorrt.cuda.gpu import DeviceMemory, Gpu, Stream

#: Threads of a block, one per pixel: as wide as a warp, so that a warp reads adjacent bytes.
BLOCK = (32, 8, 1)

_SIGNATURE = "PPPPPPiiiif"
#: Sizes and tints of pictures whose tables are kept; each takes a few kB.
_MOST_TABLES = 16


def kernel_source() -> str:
    return Path(__file__).with_name("overlay.cu").read_text(encoding="utf-8")


@cache
def overlay_image(architecture: str) -> bytes:
    """Compile the overlay for a GPU architecture, once per process.

    Raises:
        RuntimeMissingError: there is no compiler for it.
    """
    return nvrtc.compile_cubin(kernel_source(), architecture)


def nearest(count: int, size: int) -> NDArray[np.uint16]:
    """Return the index, below ``count``, that nearest-neighbour resizing gives ``size`` pixels.

    OpenCV computes it, since its rounding is its own, and GPU and CPU must draw the same picture.
    """
    ramp = np.arange(count, dtype=np.float32)[None]
    looked_up = cv2.resize(ramp, (size, 1), interpolation=cv2.INTER_NEAREST)
    return np.asarray(looked_up[0], dtype=np.uint16)


@dataclass(frozen=True)
class Canvas:
    """The memory that one painting reads and writes.

    Attributes:
        frames: address of (count, height, width, 3) bytes.
        classes: address of (count, map_height, map_width) bytes.
        blended: address that receives (count, height, width, 3) bytes.
        shape: count, height, width of the frames.
    """

    frames: int
    classes: int
    blended: int
    shape: tuple[int, int, int]


@dataclass(frozen=True)
class _Tables:
    """Attributes: ``memory`` on the GPU; the ``addresses`` of columns, rows and palette in it."""

    memory: DeviceMemory
    addresses: tuple[int, int, int]


class Painter:
    """Paints on one stream; made, used and released while the GPU is active.

    ``map_size`` is height and width of the class maps.

    Raises:
        RuntimeMissingError: the kernel cannot be compiled here.
        EngineError: the GPU refuses the kernel.
    """

    def __init__(self, gpu: Gpu, map_size: tuple[int, int], stream: Stream) -> None:
        _check_compiler(gpu)
        self._gpu = gpu
        self._map_size = map_size
        self._stream = stream
        #: Tint, height and width of pictures -> their tables, the most recently used last.
        self._tables: dict[tuple[Tint, int, int], _Tables] = {}
        self._kernel = gpu.kernel(overlay_image(gpu.info.architecture), "overlay", _SIGNATURE)

    def paint(self, canvas: Canvas, tint: Tint) -> None:
        """Start to blend; returns before it is done."""
        count, height, width = canvas.shape
        columns, rows, palette = self._tables_for(tint, height, width).addresses
        grid = (-(-width // BLOCK[0]), -(-height // BLOCK[1]), count)
        pointers = (canvas.frames, canvas.classes, columns, rows, palette, canvas.blended)
        self._kernel.launch(
            self._stream, grid, BLOCK, *pointers, height, width, *self._map_size, tint.opacity
        )

    def release(self) -> None:
        """Release everything; no painting may be under way."""
        with ExitStack() as stack:
            stack.callback(self._kernel.release)
            while self._tables:
                stack.callback(self._tables.popitem()[1].memory.release)

    def _tables_for(self, tint: Tint, height: int, width: int) -> _Tables:
        """Return the tables for a tint and a size; cameras of several sizes share an engine."""
        key = (tint, height, width)
        found = self._tables.pop(key, None)
        if found is None:
            if len(self._tables) >= _MOST_TABLES:
                self._stream.synchronize()  # earlier paintings may still read them
                self._tables.pop(next(iter(self._tables))).memory.release()
            found = self._made_tables(tint, height, width)
        self._tables[key] = found
        return found

    def _made_tables(self, tint: Tint, height: int, width: int) -> _Tables:
        """Copy palette and indices to the GPU; this is rare, so it waits until that is done."""
        columns = nearest(self._map_size[1], width).view(np.uint8)
        rows = nearest(self._map_size[0], height).view(np.uint8)
        whole = np.concatenate([columns, rows, np.frombuffer(tint.palette, np.uint8)])
        with ExitStack() as made:
            device = made.enter_context(self._gpu.device_memory(whole.size))
            with self._gpu.host_memory(whole.size) as host:
                host.array[:] = whole
                self._gpu.copy_in(device, host.array, self._stream)
                self._stream.synchronize()
            made.pop_all()
        first = device.address
        return _Tables(device, (first, first + columns.size, first + columns.size + rows.size))


def _check_compiler(gpu: Gpu) -> None:
    compiler = nvrtc.version()
    if compiler[0] > gpu.info.cuda[0]:
        raise RuntimeMissingError(
            f"NVRTC is of CUDA {compiler[0]}.{compiler[1]}, the GPU's driver takes code up to CUDA "
            f"{gpu.info.cuda[0]}.{gpu.info.cuda[1]}; update the driver, or run: .venv/bin/pip "
            f"install nvidia-cuda-nvrtc-cu{gpu.info.cuda[0]}"
        )
