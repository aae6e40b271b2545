"""Starts Ray on this machine, or connects to a cluster."""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pipeline.errors import RuntimeMissingError, reason_of

#: Read by Ray when it is imported: no usage statistics, and no log lines of its own.
_ALWAYS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}
#: Makes a Ray of our own listen on the loopback address only; this works on Linux as well, although
#: the variable is named after other systems.
_ALONE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
#: Bytes of shared memory for frames that are passed between processes.
_STORE = 1 << 30
#: Seconds that a cluster may take to answer.
_PATIENCE = 10.0


@contextmanager
def cluster(address: str | None, workers: int | None, on_gpu: bool) -> Iterator[int]:
    """Connect to Ray, or start it until the end of the context; yield how many sessions to run.

    Args:
        address: of a cluster, such as ``10.0.0.5:6379``; None to start Ray on this machine.
        workers: number of sessions; None for one per core, or per GPU.
        on_gpu: whether each session needs a GPU.

    Raises:
        RuntimeMissingError: Ray is not installed, does not answer, or is of another version.
    """
    os.environ.update(_ALWAYS | ({} if address else _ALONE))
    if address:
        _knock(address)
    ray = _imported()
    cores = len(os.sched_getaffinity(0))
    local = workers or cores
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    with _ray_errors(address), _silenced():
        if address:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        else:
            ray.init(
                address="local",
                num_cpus=local,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                object_store_memory=_STORE,
            )
    for number, handler in kept.items():  # with Ray's handlers the process would end silently
        signal.signal(number, handler)
    try:
        most = ray.cluster_resources().get("GPU" if on_gpu else "CPU", 0.0)
        if on_gpu and not most:
            raise RuntimeMissingError(
                "the engine needs a GPU and Ray knows of none; start its nodes with --num-gpus, or "
                "archive with an engine for processors"
            )
        yield workers or max(1, int(most))
    finally:
        ray.shutdown()


def _imported() -> Any:
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise RuntimeMissingError(
            f"archive needs the packages of the extra 'archive', and cannot import them ({error}); "
            "run: pip install 'ray[data]'"
        ) from error
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return ray


def _knock(address: str) -> None:
    """Fail at once if nothing listens at the address; Ray itself would try for minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not (host and port.isdecimal()):
        if address == "auto":
            return
        raise RuntimeMissingError(
            f"--ray {address} is not an address, expected HOST:PORT such as 10.0.0.5:6379"
        )
    try:
        socket.create_connection((host, int(port)), timeout=_PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise RuntimeMissingError(
            f"no Ray cluster answers at {address} ({reason_of(error)}); check the address and that "
            "'ray status' works there, or drop --ray to use this machine"
        ) from error


@contextmanager
def _silenced() -> Iterator[None]:
    """Discard what Ray's C++ code writes to standard error while it starts."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


@contextmanager
def _ray_errors(address: str | None) -> Iterator[None]:
    try:
        yield
    except (ConnectionError, TimeoutError, RuntimeError, ValueError, OSError) as error:
        text = str(error)
        if "ersion mismatch" in text:
            words = " ".join(text.split())
            raise RuntimeMissingError(
                f"the Ray cluster at {address} is of another version ({words[:200]}); install the "
                "same versions of Ray and Python on all nodes and here"
            ) from error
        if address:
            raise RuntimeMissingError(
                f"no Ray cluster answers at {address} ({reason_of(error)}); check the address "
                "(HOST:6379) and that 'ray status' works there, or drop --ray to use this machine"
            ) from error
        raise RuntimeMissingError(
            f"Ray cannot be started on this machine ({reason_of(error)}); look into /tmp/ray"
        ) from error
