"""The driver's errors as ours, and what can still be done once every call fails.

After some errors CUDA fails every call of the process. pycuda's destructors would then each print a
warning and free nothing, so objects that can no longer be freed are kept alive for ever.
"""

from __future__ import annotations

import ctypes
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pycuda.driver as cuda

from pipeline.errors import EngineError

LOST = (
    "the GPU's driver has given this process up ({}); restart the process, and look at dmesg for "
    "NVRM lines if it happens again"
)
REFUSED = (
    "the GPU's driver refused a call ({}); open the engine again, and look at dmesg for NVRM lines "
    "if it happens again"
)
UNOPENED = (
    "the GPU's driver does not open GPU {} ({}); 'nvidia-smi' lists what it has, and dmesg says "
    "more in its NVRM lines"
)


class State:
    """State of the process, which has one primary context."""

    lost = False


def is_lost() -> bool:
    """Whether every call fails from now on, as it does after some errors.

    This can be found out only where the GPU is active, and by two failures: one may be by chance.
    """
    if not State.lost and cuda.Context.get_current() is not None:
        State.lost = not _answers() and not _answers()
    return State.lost


def _answers() -> bool:
    try:
        cuda.Context.synchronize()
    except cuda.Error:
        return False
    return True


@contextmanager
def in_words() -> Iterator[None]:
    """Turn the driver's errors into ours; the GPU is active."""
    try:
        yield
    except cuda.Error as error:
        # Frames of pycuda refer to the call's arguments, and would keep them as long as the error.
        traceback.clear_frames(error.__traceback__)
        if isinstance(error, cuda.MemoryError):
            raise EngineError(
                f"the GPU has too little free memory ({error}); close other programs that use it, "
                "or build the engine for smaller frames or a smaller batch"
            ) from error
        raise EngineError((LOST if is_lost() else REFUSED).format(error)) from error


def drop(thing: object) -> None:
    """Allow the last reference to an object of pycuda to free it, or keep it for ever."""
    if thing is not None and is_lost():
        keep(thing)


def free(own: Any) -> None:
    """Free memory of pycuda, or keep it for ever."""
    if is_lost():
        keep(own)
    else:
        with in_words():
            own.free()


def keep(thing: object) -> None:
    """Keep an object alive beyond the interpreter's end."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
