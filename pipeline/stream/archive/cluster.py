"""Ray, started inside this process or found at an address; the only file that starts it."""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pipeline.errors import RuntimeMissingError, reason_of

#: Read by Ray when it is imported: it reports to nobody, and says nothing that we do not say.
_ALWAYS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}
#: For a Ray of our own: its name is that of other systems, where Ray stays on the loopback address
#: unless this is 1. On Linux, too, it then listens nowhere else.
_ALONE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
#: Bytes that frames on their way between processes may take.
_STORE = 1 << 30
#: Seconds that a cluster may take to answer.
_PATIENCE = 10.0


@dataclass(frozen=True)
class Cluster:
    """What there is to work with.

    Attributes:
        cpus: cores by Ray's count.
        gpus: GPUs.
        workers: sessions that fit.
    """

    cpus: float
    gpus: float
    workers: int


@contextmanager
def cluster(address: str | None, workers: int | None, on_gpu: bool) -> Iterator[Cluster]:
    """Connect to Ray, or start it for the time being.

    Args:
        address: of a cluster, such as ``10.0.0.5:6379``; None to start Ray on this machine.
        workers: sessions; None for as many as cores (or GPUs) allow.
        on_gpu: sessions want a GPU each.

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
    for number, handler in kept.items():  # Ray's own would end us without a word
        signal.signal(number, handler)
    try:
        found = ray.cluster_resources()
        cpus, gpus = found.get("CPU", 0.0), found.get("GPU", 0.0)
        most = gpus if on_gpu else cpus
        if on_gpu and not gpus:
            raise RuntimeMissingError(
                "the engine needs a GPU and Ray knows of none; start its nodes with --num-gpus, or "
                "archive with an engine for processors"
            )
        yield Cluster(cpus, gpus, workers or max(1, int(most)))
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
    """Fail at once where nobody listens; Ray itself would try for minutes.

    Raises:
        RuntimeMissingError: nobody does.
    """
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not (host and port.isdecimal()):
        if address == "auto":
            return
        raise RuntimeMissingError(
            f"--ray {address} is no address of a cluster, expected HOST:PORT such as 10.0.0.5:6379"
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
    """Keep what Ray's C++ part writes while it starts off standard error, which is a terminal's."""
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
