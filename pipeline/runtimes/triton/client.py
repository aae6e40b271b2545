"""Triton's client: connections, requests and waiting; its errors are translated to ours here."""

from __future__ import annotations

import queue
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pipeline.errors import EngineError, RuntimeMissingError

SCHEME = "triton://"
_PORT = 8001

#: Timeout in seconds of the message that shared memory is released.
_FAREWELL = 1.0

#: Errors of gRPC that may pass: the server is away or loads its models.
_PASSING = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED")


@dataclass(frozen=True)
class Address:
    """Where a model is served."""

    host: str
    port: int
    model: str

    @classmethod
    def read(cls, text: str) -> Address:
        """Read ``triton://HOST[:PORT]/NAME``.

        Raises:
            EngineError: the text has another form.
        """
        place, _, model = text.removeprefix(SCHEME).partition("/")
        host, _, port = place.rpartition(":") if ":" in place else (place, "", str(_PORT))
        if not (text.startswith(SCHEME) and host and port.isdecimal() and model.strip("/")):
            raise EngineError(
                f"{text} is not the address of a served model; give triton://HOST:{_PORT}/NAME, "
                "with the port of gRPC"
            )
        return cls(host, int(port), model.strip("/"))

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def is_here(self) -> bool:
        """Whether the host is this machine."""
        with suppress(OSError):
            return socket.gethostbyname(self.host).startswith("127.")
        return False


@dataclass(frozen=True)
class Limits:
    """Seconds that a ``run`` may take, and that a server may be ``away`` before it is an error."""

    run: float = 10.0
    away: float = 30.0


class UnreachableError(Exception):
    """The server does not answer now; it may come back."""


def _imported() -> Any:
    try:
        import tritonclient.grpc as grpc
    except ImportError as error:
        raise RuntimeMissingError(
            f"triton:// needs the package tritonclient, which cannot be imported here ({error}); "
            "run: pip install 'tritonclient[grpc]'"
        ) from error
    return grpc


def check_config(text: str) -> bool:
    """Check a model's configuration with Triton's own definitions.

    Returns:
        Whether they are installed.

    Raises:
        EngineError: Triton would refuse it.
    """
    try:
        from google.protobuf import text_format
        from tritonclient.grpc import model_config_pb2
    except ImportError:
        return False
    try:
        text_format.Parse(text, model_config_pb2.ModelConfig())
    except text_format.ParseError as error:
        raise EngineError(
            f"Triton's definitions refuse the configuration of this model ({error}); this is a "
            "fault in roadseg, please report it"
        ) from error
    return True


class Connection:
    """A connection to a served model; any number of runs may be under way."""

    def __init__(self, address: Address, limits: Limits) -> None:
        self.address = address
        self.grpc = _imported()
        self._limits = limits
        self._client: Any = None
        #: Number of connections so far: buffers have to be registered with each.
        self.round = 0
        self.connect()

    def connect(self) -> None:
        """Connect, again where the old connection is lost; returns when the model is ready.

        Raises:
            UnreachableError: the server or the model is not available now.
        """
        self.close()
        self._client = self.grpc.InferenceServerClient(str(self.address))
        self.round += 1
        try:
            ready = self._client.is_model_ready(self.address.model, client_timeout=self._limits.run)
        except self._grpc_errors() as error:
            raise UnreachableError(_said(error)) from error
        if not ready:
            raise UnreachableError(f"the model {self.address.model} is not ready")

    def config(self) -> dict[str, Any]:
        """Return the model's configuration as plain values.

        Raises:
            UnreachableError: as ``connect``.
        """
        try:
            answer = self._client.get_model_config(
                self.address.model, as_json=True, client_timeout=self._limits.run
            )
        except self._grpc_errors() as error:
            raise UnreachableError(_said(error)) from error
        found: dict[str, Any] = answer["config"]
        return found

    def start(self, inputs: Any, outputs: Any) -> queue.SimpleQueue[Any]:
        """Start a run; its answer, or an error, is put into the returned queue."""
        answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._client.async_infer(
            self.address.model,
            [inputs],
            lambda result, error: answers.put(error if error is not None else result),
            outputs=[outputs],
            client_timeout=self._limits.run,
        )
        return answers

    def finish(self, answers: queue.SimpleQueue[Any]) -> Any:
        """Wait for a run, and return the client's answer.

        Raises:
            UnreachableError: the server is away, or took too long.
            EngineError: it refuses the frames.
        """
        try:
            # gRPC has its own timeout; this one is for a client whose threads have died.
            answer = answers.get(timeout=self._limits.run + 5)
        except queue.Empty:
            raise UnreachableError("no answer came in time") from None
        if isinstance(answer, Exception):
            text = _said(answer)
            lost = "shared memory region" in text
            if lost or any(word in text for word in _PASSING):
                raise UnreachableError(text)
            raise EngineError(
                f"the model {self.address.model} on {self.address} refuses the frames ({text}); "
                "give frames of another size, or export the engine again"
            )
        return answer

    def close(self) -> None:
        """Release the connection."""
        if self._client is not None:
            with suppress(Exception):
                self._client.close()
        self._client = None

    def announce(self, region: str, room: int) -> str | None:
        """Register shared memory; returns why the server cannot map it, None where it can.

        Raises:
            UnreachableError: the server is away.
        """
        try:
            self._client.register_system_shared_memory(
                region, f"/{region}", room, client_timeout=self._limits.run
            )
        except self._grpc_errors() as error:
            if any(word in _said(error) for word in _PASSING):
                raise UnreachableError(_said(error)) from error
            return _said(error)
        return None

    def forget(self, region: str) -> bool:
        """Unregister shared memory; returns whether the server answered."""
        try:
            self._client.unregister_system_shared_memory(region, client_timeout=_FAREWELL)
        except self._grpc_errors():
            return False
        return True

    def _grpc_errors(self) -> tuple[type[BaseException], ...]:
        from tritonclient.utils import InferenceServerException

        return (InferenceServerException,)


def _said(error: BaseException) -> str:
    """Return an error in one line, with gRPC's status."""
    return " ".join(str(error).split())[:300]
