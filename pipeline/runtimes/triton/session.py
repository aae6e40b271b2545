"""A session that runs on a model of a Triton server."""

from __future__ import annotations

import json
import logging
import time
from typing import Any

import numpy as np

from pipeline.engine.manifest import ENGINE, FORMAT_VERSION, Manifest, parse_manifest
from pipeline.errors import EngineError
from pipeline.runtimes.compiler import INPUT, OUTPUT
from pipeline.runtimes.session import (
    Capabilities,
    ClassMaps,
    Done,
    Frames,
    Pending,
    Segmented,
    Session,
    TensorSpec,
    Tint,
)
from pipeline.runtimes.triton.buffers import Buffers
from pipeline.runtimes.triton.client import Address, Connection, Limits, UnreachableError
from pipeline.runtimes.triton.config import MANIFEST

log = logging.getLogger(__name__)

#: Runs under way at once: one computes, one is sent, one is received.
_IN_FLIGHT = 3
#: Seconds between attempts to reach a server.
_PAUSE = 0.2


def open_triton(text: str, limits: Limits | None = None) -> tuple[Manifest, TritonSession]:
    """Connect to ``triton://HOST:8001/NAME``, a model that ``export-triton`` wrote.

    Raises:
        EngineError: the server does not answer, or has no such model that we exported.
        RuntimeMissingError: Triton's client is not installed.
    """
    address, limits = Address.read(text), limits or Limits()
    try:
        connection = Connection(address, limits)
        config = connection.config()
    except UnreachableError as error:
        raise EngineError(_why(address, str(error))) from error
    manifest = _manifest(address, config)
    most = int(config.get("max_batch_size", 0))
    return manifest, TritonSession(connection, manifest, most, limits)


class TritonSession(Session):
    """Runs a model on a server.

    While a server is away the session waits, and then repeats the runs that were lost; meanwhile a
    live source drops its frames, and continues with the newest one. ``most`` is the most frames of
    one run.
    """

    def __init__(
        self, connection: Connection, manifest: Manifest, most: int, limits: Limits
    ) -> None:
        self._connection: Connection | None = connection
        self._limits = limits
        self._most = most
        size = (manifest.input.height, manifest.input.width)
        shared = connection.address.is_here
        self._all = [Buffers(size, shared) for _ in range(_IN_FLIGHT)]
        self._free = list(self._all)
        self.input_spec = TensorSpec(INPUT, "uint8", (most, None, None, 3), "NHWC, BGR")
        self.output_spec = TensorSpec(OUTPUT, "uint8", (most, *size), "NHW")
        self.capabilities = Capabilities(
            runtime="triton",
            device=f"Triton server {connection.address}",
            precision=manifest.precision,
            in_flight=_IN_FLIGHT,
        )

    def _submit(self, frames: Frames, tint: Tint | None) -> Pending:
        if len(frames) > self._most:
            return Done(Segmented(self._run(frames)))
        connection = self._opened()
        buffers = self._free.pop(0)
        buffers.fill(frames, connection)
        run = _Run(self, buffers)
        run.start()
        return run

    def _run(self, frames: Frames) -> ClassMaps:
        parts = [
            self._submit(frames[first : first + self._most], None).result().classes
            for first in range(0, len(frames), self._most)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _opened(self) -> Connection:
        if self._connection is None:
            raise EngineError("the session is closed; open the served model again")
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            for buffers in self._all:
                buffers.release(self._connection)
            self._connection.close()
        self._connection = None


class _Run(Pending):
    """A run under way, repeated where its server was away."""

    def __init__(self, session: TritonSession, buffers: Buffers) -> None:
        self._session = session
        self._buffers = buffers
        self._answers: Any = None
        self._lost: UnreachableError | None = None

    def start(self) -> None:
        connection = self._session._opened()
        self._round = connection.round
        try:
            self._answers = connection.start(*self._buffers.tensors(connection))
            self._lost = None
        except UnreachableError as error:
            self._lost = error

    def result(self) -> Segmented:
        session = self._session
        connection = session._opened()
        gives_up = time.monotonic() + session._limits.away
        try:
            while True:
                try:
                    if self._lost is not None:
                        raise self._lost
                    answer = connection.finish(self._answers)
                    return Segmented(self._buffers.classes(answer))
                except UnreachableError as error:
                    self._come_back(connection, str(error), gives_up)
        finally:
            session._free.append(self._buffers)

    def _come_back(self, connection: Connection, reason: str, gives_up: float) -> None:
        """Repeat the run, on a new connection unless another run has made one.

        Raises:
            EngineError: the server stayed away.
        """
        log.info("Triton server %s is away (%s)", connection.address, reason)
        while time.monotonic() < gives_up:
            try:
                if connection.round == self._round:
                    connection.connect()
            except UnreachableError as error:
                reason = str(error)
                self._round = connection.round
                time.sleep(_PAUSE)
                continue
            self.start()
            return
        raise EngineError(_why(connection.address, reason))


def _manifest(address: Address, config: dict[str, Any]) -> Manifest:
    """Read our manifest from a model's configuration."""
    text = config.get("parameters", {}).get(MANIFEST, {}).get("string_value")
    try:
        if text is None:
            raise ValueError("there is no manifest in its configuration")
        document = json.loads(text)
        kind, version = document.pop("kind"), document.pop("format_version")
        if (kind, version) != (ENGINE, FORMAT_VERSION):
            raise ValueError(f"its manifest is {kind} format {version}")
        manifest = parse_manifest(document)
        frames, classes = config["input"][0], config["output"][0]
        shapes = ([int(one) for one in frames["dims"]], [int(one) for one in classes["dims"]])
        expected = ([-1, -1, 3], [manifest.input.height, manifest.input.width])
        if (frames["name"], classes["name"]) != (INPUT, OUTPUT) or shapes != expected:
            raise ValueError(f"it takes and gives {shapes}, expected {expected}")
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise EngineError(
            f"the model {address.model} on {address} was not written by 'roadseg export-triton' "
            f"({error}); export the engine and load it there"
        ) from error
    return manifest


def _why(address: Address, reason: str) -> str:
    if "NOT_FOUND" in reason or "unknown model" in reason or "not ready" in reason:
        return (
            f"the Triton server {address} has no model {address.model} that is ready ({reason}); "
            "check its name, and that the server has loaded the repository"
        )
    return (
        f"no Triton server answers at {address} ({reason}); start it, or check host and port (that "
        "of gRPC, usually 8001)"
    )
