"""The dozen calls of a GPU's driver that this project needs, behind one interface.

``driver`` makes them with pycuda; the tests have a double that works on host memory. Every call may
raise EngineError: the driver's error in one line. Work on a stream continues after the call that
started it; its errors are raised by a later call, at the latest by the one that waits for it.

Every resource is released once, by its owner, in a thread in which the GPU is active.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.engine.compatibility import GpuInfo

if TYPE_CHECKING:
    from typing_extensions import Self

Bytes = NDArray[np.uint8]
#: Along x, y and z.
Size = tuple[int, int, int]


class Resource(ABC):
    """Something of the GPU that has to be released; as a context manager at the block's end."""

    @abstractmethod
    def release(self) -> None:
        """Release it; nothing may use it any more."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class Stream(Resource):
    """Work on it runs in order. Attributes: ``handle``, the driver's, for other libraries."""

    handle: int

    @abstractmethod
    def wait(self, event: Event) -> None:
        """Let later work on this stream start only after ``event``; returns at once."""

    @abstractmethod
    def synchronize(self) -> None:
        """Wait until all its work is done; raises what failed in it."""


class Event(Resource):
    """A point in a stream's work."""

    @abstractmethod
    def record(self, stream: Stream) -> None:
        """Place the event after all work that is on ``stream`` now."""

    @abstractmethod
    def synchronize(self) -> None:
        """Wait until the work before the event is done; raises what failed in it."""

    @abstractmethod
    def milliseconds_since(self, earlier: Event) -> float:
        """Time between two events that have passed, measured by the GPU."""


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
        """Run it for ``grid`` times ``block`` threads; addresses are passed as values."""


class Gpu(ABC):
    """One GPU. Attributes: ``info``."""

    info: GpuInfo

    @property
    def lost(self) -> bool:
        """Whether the driver fails every call of this process from now on.

        Then nothing can be released, and only another process can use the GPU.
        """
        return False

    @abstractmethod
    def active(self) -> AbstractContextManager[None]:
        """Let the calling thread, and other libraries in it, use the GPU inside the block."""

    @abstractmethod
    def stream(self) -> Stream:
        """Make a stream that runs in parallel with all others."""

    @abstractmethod
    def event(self) -> Event:
        """Make an event."""

    @abstractmethod
    def device_memory(self, size: int) -> DeviceMemory:
        """Allocate ``size`` bytes of the GPU's memory."""

    @abstractmethod
    def host_memory(self, size: int) -> HostMemory:
        """Allocate ``size`` bytes of pinned memory, for copies on streams."""

    @abstractmethod
    def copy_in(self, target: DeviceMemory, source: Bytes, stream: Stream) -> None:
        """Copy a part of a HostMemory's array to the GPU; it must not change until that is done."""

    @abstractmethod
    def copy_out(self, target: Bytes, source: DeviceMemory, stream: Stream) -> None:
        """Copy from the GPU to a part of a HostMemory's array."""

    @abstractmethod
    def kernel(self, image: bytes, name: str, signature: str) -> Kernel:
        """Load a compiled kernel.

        Args:
            image: machine code from NVRTC.
            name: of the function.
            signature: types of its parameters as in the module ``struct``: P, i and f.
        """
