"""Class maps drawn over the frames that are on the GPU already, so that one picture comes back."""

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
from pipeline.runtimes.tensorrt.cuda.gpu import DeviceMemory, Gpu, HostMemory, Stream

#: Pixels of one block of threads: as wide as a warp, so that neighbours read neighbouring bytes.
BLOCK = (32, 8, 1)

_SIGNATURE = "PPPPPPiiiif"
#: Kinds of pictures whose tables are kept: a few kB each, for as many cameras of other sizes.
_MOST_TABLES = 16


def kernel_source() -> str:
    """CUDA source of the overlay."""
    return Path(__file__).with_name("overlay.cu").read_text(encoding="utf-8")


@cache
def overlay_image(architecture: str) -> bytes:
    """Compile the overlay for a GPU architecture, once in a process.

    Raises:
        RuntimeMissingError: there is no compiler for it.
    """
    return nvrtc.compile_cubin(kernel_source(), architecture)


def nearest(count: int, size: int) -> NDArray[np.uint16]:
    """Where each of ``size`` pixels in a row looks among ``count``, exactly as OpenCV enlarges.

    OpenCV itself is asked, since it rounds in its own way and GPU and CPU must show one picture.
    """
    ramp = np.arange(count, dtype=np.float32)[None]
    looked_up = cv2.resize(ramp, (size, 1), interpolation=cv2.INTER_NEAREST)
    return np.asarray(looked_up[0], dtype=np.uint16)


@dataclass(frozen=True)
class Canvas:
    """What one painting reads and writes.

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
    """Attributes: ``memory`` on the GPU; in it ``addresses`` of columns, rows and palette."""

    memory: DeviceMemory
    addresses: tuple[int, int, int]


class Painter:
    """Paints on one stream; made, used and released while the GPU is active.

    Args:
        gpu: that has the pictures.
        map_size: height and width of class maps.
        stream: all paintings run on it.

    Raises:
        RuntimeMissingError: the kernel cannot be compiled here.
        EngineError: the GPU does not take it.
    """

    def __init__(self, gpu: Gpu, map_size: tuple[int, int], stream: Stream) -> None:
        _check_compiler(gpu)
        self._gpu = gpu
        self._map_size = map_size
        self._stream = stream
        #: Tint, height and width of pictures -> their tables, the one used last behind the others.
        self._tables: dict[tuple[Tint, int, int], _Tables] = {}
        self._kernel = gpu.kernel(overlay_image(gpu.info.architecture), "overlay", _SIGNATURE)

    def paint(self, canvas: Canvas, tint: Tint) -> None:
        """Blend; returns before it is done."""
        count, height, width = canvas.shape
        columns, rows, palette = self._tables_for(tint, height, width).addresses
        grid = (-(-width // BLOCK[0]), -(-height // BLOCK[1]), count)
        pointers = (canvas.frames, canvas.classes, columns, rows, palette, canvas.blended)
        self._kernel.launch(
            self._stream, grid, BLOCK, *pointers, height, width, *self._map_size, tint.opacity
        )

    def release(self) -> None:
        """Give everything back; nothing may be under way."""
        with ExitStack() as stack:
            stack.callback(self._kernel.release)
            while self._tables:
                stack.callback(self._tables.popitem()[1].memory.release)

    def _tables_for(self, tint: Tint, height: int, width: int) -> _Tables:
        """Return the tables of one kind of picture; cameras of several sizes share the engine."""
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
        """Bring the palette and the ways to look to the GPU; rare, so it may wait."""
        columns = nearest(self._map_size[1], width).view(np.uint8)
        rows = nearest(self._map_size[0], height).view(np.uint8)
        parts = [columns, rows, np.frombuffer(tint.palette, np.uint8)]
        whole = np.concatenate(parts)
        with ExitStack() as made:
            device: DeviceMemory = self._gpu.device_memory(whole.size)
            made.callback(device.release)
            with ExitStack() as stack:
                host: HostMemory = self._gpu.host_memory(whole.size)
                stack.callback(host.release)
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
