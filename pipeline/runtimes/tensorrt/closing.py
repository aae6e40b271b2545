"""How what lives on a GPU is given back, whatever happened to it before."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import ExitStack, suppress

from pipeline.errors import EngineError, RoadsegError
from pipeline.runtimes.tensorrt.cuda.gpu import Gpu, Stream

log = logging.getLogger(__name__)


def give_back(gpu: Gpu, streams: Iterable[Stream], held: ExitStack) -> None:
    """Wait for what is under way on ``streams`` and close ``held``; what fails is logged.

    A GPU that this process has lost takes nothing back: then everything is forgotten.
    """
    try:
        with gpu.active():
            # Buffers must outlive the work on them, even after a failure.
            for stream in streams:
                with suppress(EngineError):
                    stream.synchronize()
            held.close()
    except RoadsegError as error:
        log.warning("the GPU did not take everything back (%s)", error)
        if gpu.lost:
            held.close()
