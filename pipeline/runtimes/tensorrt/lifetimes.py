"""Making, using and releasing resources of a GPU, whatever fails."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from pipeline.errors import EngineError, RoadsegError
from pipeline.runtimes.tensorrt.cuda.gpu import Gpu, Stream

log = logging.getLogger(__name__)


@contextmanager
def holding(gpu: Gpu) -> Iterator[ExitStack]:
    """Use the GPU to make resources that outlive the block; yields a stack for their release.

    Where the block or its end fails, they are released at once.
    """
    held = ExitStack()
    try:
        with gpu.active():
            try:
                yield held
            except BaseException:
                with suppress(RoadsegError):  # the first error is the reason
                    held.close()
                raise
    except RoadsegError:
        give_back(gpu, (), held)
        raise


@contextmanager
def asking_the_driver(stream: Stream) -> Iterator[None]:
    """Where TensorRT fails in the block, raise the driver's error instead, if there is one."""
    try:
        yield
    except EngineError:
        stream.synchronize()
        raise


def give_back(gpu: Gpu, streams: Iterable[Stream], held: ExitStack) -> None:
    """Wait for the work on ``streams`` and close ``held``; errors are logged.

    Where every call of the driver fails, closing ``held`` only drops references.
    """
    try:
        if not gpu.lost:
            _close(gpu, streams, held)
    except RoadsegError as error:
        log.warning("not everything on the GPU could be released (%s)", error)
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
        with gpu.active():  # a second try, since one refusal may be by chance
            held.close()
