"""Buffers of a run on a Triton server, for its frames and its class maps."""

from __future__ import annotations

import logging
import uuid
from contextlib import suppress
from typing import Any

import numpy as np

from pipeline.errors import EngineError
from pipeline.runtimes.compiler import INPUT, OUTPUT
from pipeline.runtimes.session import ClassMaps, Frames
from pipeline.runtimes.triton.client import Connection

log = logging.getLogger(__name__)


class Buffers:
    """Buffers for the frames of a run, until the server has read them, and for its class maps.

    On one machine both are in shared memory that the server maps, and gRPC only carries references.
    A server that cannot map it, such as one in another container, gets the data by gRPC.

    Args:
        size: height and width of class maps.
        shared: whether to try shared memory.
    """

    def __init__(self, size: tuple[int, int], shared: bool) -> None:
        self.shared = shared
        self._size = size
        self._frames: Frames = np.empty((0, 0, 0, 3), np.uint8)
        self._regions: list[Any] = []
        self._names: list[str] = []
        self._room = (0, 0)
        self._round = -1

    def fill(self, frames: Frames, connection: Connection) -> None:
        """Copy frames into the buffer."""
        self._bytes = (frames.nbytes, len(frames) * self._size[0] * self._size[1])
        if not self.shared:
            self._frames = frames.copy()
            return
        from tritonclient.utils import shared_memory

        try:
            if any(asked > has for asked, has in zip(self._bytes, self._room, strict=True)):
                self._grow(connection)
            self._frames = shared_memory.get_contents_as_numpy(
                self._regions[0], np.uint8, frames.shape
            )
        except shared_memory.SharedMemoryException as error:  # none is left, or none is allowed
            log.info("frames go by gRPC, since there is no shared memory (%s)", error)
            self.release(connection)
            self.shared = False
            self._frames = frames.copy()
            return
        self._frames[...] = frames

    def _grow(self, connection: Connection) -> None:
        from tritonclient.utils import shared_memory

        self.release(connection)
        for room in self._bytes:
            name = f"roadseg-{uuid.uuid4().hex[:16]}"
            region = shared_memory.create_shared_memory_region(name, f"/{name}", room)
            self._regions.append(region)
            self._names.append(name)
        self._room = self._bytes

    def tensors(self, connection: Connection) -> tuple[Any, Any]:
        """Return input and output of a request, on a connection that may be new.

        Raises:
            UnreachableError: the server does not answer.
        """
        inputs = connection.grpc.InferInput(INPUT, list(self._frames.shape), "UINT8")
        outputs = connection.grpc.InferRequestedOutput(OUTPUT)
        if self.shared and self._round != connection.round:
            self._make_known(connection)
            self._round = connection.round
        if not self.shared:
            inputs.set_data_from_numpy(self._frames)
            return inputs, outputs
        inputs.set_shared_memory(self._names[0], self._bytes[0])
        outputs.set_shared_memory(self._names[1], self._bytes[1])
        return inputs, outputs

    def _make_known(self, connection: Connection) -> None:
        for name, room in zip(self._names, self._room, strict=True):
            if reason := connection.announce(name, room):
                log.info("frames go by gRPC, since the server maps no shared memory (%s)", reason)
                self.shared = False
                self._frames = self._frames.copy()
                return

    def classes(self, answer: Any) -> ClassMaps:
        """Return a copy of the class maps of a finished run."""
        shape = (len(self._frames), *self._size)
        if not self.shared:
            found = answer.as_numpy(OUTPUT)
            if found is None or found.shape != shape or found.dtype != np.uint8:
                raise EngineError(
                    f"the server gave {None if found is None else found.shape}, expected class "
                    f"maps {shape}; export the engine again"
                )
            return np.array(found)
        from tritonclient.utils import shared_memory

        return np.array(shared_memory.get_contents_as_numpy(self._regions[1], np.uint8, shape))

    def release(self, connection: Connection) -> None:
        """Release shared memory."""
        if not self._regions:
            return
        from tritonclient.utils import shared_memory

        self._frames = np.empty((0, 0, 0, 3), np.uint8)  # it was a view of shared memory
        answers = True
        for name, region in zip(self._names, self._regions, strict=True):
            answers = answers and self._round == connection.round and connection.forget(name)
            with suppress(Exception):
                shared_memory.destroy_shared_memory_region(region)
        self._regions, self._names, self._room, self._round = [], [], (0, 0), -1
