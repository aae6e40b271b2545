"""The dozen calls of a GPU's driver that this project needs, behind one interface.

``driver`` makes them with pycuda; the tests have a double that makes them on host memory. Every
call may raise EngineError: what the driver refused, in one line. Work on a stream goes on after the
call that began it, and what fails there is raised by a later call, at the latest by the one that
waits for it.

Whoever makes something releases it, once, while the GPU is active in the thread that releases it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager

import numpy as np
from numpy.typing import NDArray

from pipeline.engine.compatibility import GpuInfo

Bytes = NDArray[np.uint8]
#: Along x, y and z.
Size = tuple[int, int, int]


class Resource(ABC):
    """Something on the GPU that has to be given back."""

    @abstractmethod
    def release(self) -> None:
        """Give it back; nothing may use it any more."""


class Stream(Resource):
    """Work on it runs in order. Attributes: ``handle``, as the driver's other users know it."""

    handle: int

    @abstractmethod
    def wait(self, event: Event) -> None:
        """Begin what follows on this stream only after ``event``; returns at once."""

    @abstractmethod
    def synchronize(self) -> None:
        """Return when all is done, and raise what failed."""


class Event(Resource):
    """A moment in a stream's work."""

    @abstractmethod
    def record(self, stream: Stream) -> None:
        """Set the moment behind all that is on ``stream`` now."""

    @abstractmethod
    def synchronize(self) -> None:
        """Return when the moment has passed, and raise what failed before it."""

    @abstractmethod
    def milliseconds_since(self, earlier: Event) -> float:
        """Time between two moments that have passed, as the GPU saw it."""


class DeviceMemory(Resource):
    """Attributes: ``address`` on the GPU, ``size`` in bytes."""

    address: int
    size: int


class HostMemory(DeviceMemory):
    """Memory of the processor that the GPU can reach.

    Attributes:
        array: (size,) uint8.
        address: where the GPU sees the same bytes.
    """

    array: Bytes


class Kernel(Resource):
    """A function on the GPU."""

    @abstractmethod
    def launch(self, stream: Stream, grid: Size, block: Size, *values: float) -> None:
        """Run it for ``grid`` times ``block`` threads; addresses are values, too."""


class Gpu(ABC):
    """One GPU. Attributes: ``info``."""

    info: GpuInfo

    @property
    def lost(self) -> bool:
        """Whether the driver answers no call of this process any more.

        Releasing then only forgets, and only another process can use the GPU.
        """
        return False

    @abstractmethod
    def active(self) -> AbstractContextManager[None]:
        """Let the calling thread use the GPU inside the block, other libraries included."""

    @abstractmethod
    def stream(self) -> Stream:
        """Make a stream that runs beside all others."""

    @abstractmethod
    def event(self) -> Event:
        """Make an event."""

    @abstractmethod
    def device_memory(self, size: int) -> DeviceMemory:
        """Take ``size`` bytes of the GPU's memory."""

    @abstractmethod
    def host_memory(self, size: int) -> HostMemory:
        """Take ``size`` bytes of memory that copies of streams may run from and to."""

    @abstractmethod
    def copy_in(self, target: DeviceMemory, source: Bytes, stream: Stream) -> None:
        """Copy a part of a HostMemory's array to the GPU; it must stay as it is until done."""

    @abstractmethod
    def copy_out(self, target: Bytes, source: DeviceMemory, stream: Stream) -> None:
        """Copy from the GPU to a part of a HostMemory's array."""

    @abstractmethod
    def kernel(self, image: bytes, name: str, signature: str) -> Kernel:
        """Load a compiled kernel.

        Args:
            image: what NVRTC made.
            name: of the function.
            signature: types of its values as in the module ``struct``: P, i and f.
        """
