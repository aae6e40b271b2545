"""The stand-in for the driver's library, if this process has loaded it (check_pycuda.sh)."""

from __future__ import annotations

import ctypes
from functools import cache

import numpy as np
from tensorrt_double import OnnxProgram, RefusedError, Step

#: The driver's errors that tests inject.
INVALID_VALUE, OUT_OF_MEMORY, ILLEGAL_ADDRESS = 1, 2, 700

_STEP = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


@cache
def stand_in() -> StandIn | None:
    """Return the stand-in; None if there is another driver, or none."""
    try:
        library = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    return StandIn(library) if hasattr(library, "stand_in_calls") else None


class StandIn:
    """Records the calls of the driver, and makes it fail."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        library.cuLaunchHostFunc.argtypes = [ctypes.c_void_p, _STEP, ctypes.c_void_p]

    @property
    def call_count(self) -> int:
        return int(self._library.stand_in_calls())

    def calls(self, begin: int = 0) -> list[str]:
        """Return the names of the driver's calls from ``begin`` on, without their versions."""
        text = ctypes.create_string_buffer(100)
        found = []
        for place in range(begin, self.call_count):
            self._library.stand_in_call(place, text, len(text))
            found.append(text.value.decode().removesuffix("_v2"))
        return found

    def fail(self, place: int, error: int, late: bool = False) -> None:
        """Let call number ``place`` fail; ``late``: not the call, but the work that it starts."""
        self._library.stand_in_fail(place, error, int(late))

    def held(self) -> str:
        """Return what was made and not released, contexts included; "" for nothing."""
        text = ctypes.create_string_buffer(1000)
        self._library.stand_in_held(text, len(text))
        return text.value.decode()

    def complaints(self) -> list[str]:
        """Return what a driver accepts but a program should not do, since the last call."""
        text = ctypes.create_string_buffer(100_000)
        self._library.stand_in_complaints(text, len(text))
        return text.value.decode().splitlines()

    def put(self, stream: int, step: Step) -> None:
        """Put a function on a stream, as the driver does."""
        kept: list[object] = []

        def run(_: int | None) -> None:
            _STEPS.remove(kept[0])
            step()

        kept.append(_STEP(run))
        _STEPS.append(kept[0])
        if status := self._library.cuLaunchHostFunc(stream, kept[0], None):
            _STEPS.remove(kept[0])
            raise RefusedError(f"cuLaunchHostFunc gives {status}")


#: Functions that the driver has yet to call.
_STEPS: list[object] = []


class StandInMachine:
    """Runs TensorRT's double on the stand-in."""

    def __init__(self, driver: StandIn) -> None:
        self._driver = driver
        self.layer_names: list[str] = []

    def fails(self, name: str) -> bool:
        return False

    def load(self, serialized: bytes) -> OnnxProgram:
        return OnnxProgram(self, serialized)

    def put(self, stream: int, step: Step) -> None:
        self._driver.put(stream, step)

    def wait(self, stream: int) -> None:
        self._driver._library.cuStreamSynchronize(ctypes.c_void_p(stream))

    def bytes_at(self, address: int, size: int) -> np.ndarray:
        return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))
