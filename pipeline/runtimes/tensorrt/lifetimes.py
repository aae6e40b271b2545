"""How what lives on a GPU is made, used and given back, whatever fails meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from pipeline.errors import EngineError, RoadsegError
from pipeline.runtimes.tensorrt.cuda.gpu import Gpu, Stream

log = logging.getLogger(__name__)


@contextmanager
def holding(gpu: Gpu) -> Iterator[ExitStack]:
    """Use the GPU to make things that outlive the block; yields the stack that gives them back.

    Where the block fails, or the way out of it, they are given back at once.
    """
    held = ExitStack()
    try:
        with gpu.active():
            try:
                yield held
            except BaseException:
                with suppress(RoadsegError):  # what failed first is the reason
                    held.close()
                raise
    except RoadsegError:
        give_back(gpu, (), held)
        raise


@contextmanager
def asking_the_driver(stream: Stream) -> Iterator[None]:
    """Where TensorRT fails, raise what the driver has against it, if that is the reason."""
    try:
        yield
    except EngineError:
        stream.synchronize()
        raise


def give_back(gpu: Gpu, streams: Iterable[Stream], held: ExitStack) -> None:
    """Wait for what is under way on ``streams`` and close ``held``; what fails is logged.

    A GPU that this process has lost takes nothing back: then everything is forgotten.
    """
    try:
        if not gpu.lost:
            _close(gpu, streams, held)
    except RoadsegError as error:
        log.warning("the GPU did not take everything back (%s)", error)
    if gpu.lost:
        held.close()


def _close(gpu: Gpu, streams: Iterable[Stream], held: ExitStack) -> None:
    reached = False
    try:
        with gpu.active():
            reached = True
            # Buffers must outlive the work on them, even after a failure.
            for stream in streams:
                with suppress(EngineError):
                    stream.synchronize()
            held.close()
    except RoadsegError:
        if reached or gpu.lost:
            raise
        with gpu.active():  # what was refused once may be taken the second time
            held.close()
