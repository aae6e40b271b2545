"""Test servers as separate processes, so that they can be killed as servers are."""

from __future__ import annotations

import signal
import socket
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from source_reader import Reader, wait_for, wait_until
from time_stamps import WIDTH, stamp_of

from pipeline.stream.frame import Frame


def free_port() -> int:
    """Return a port on 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Served:
    """A server process; ``start`` returns when it listens, ``kill`` ends it at once.

    Args:
        command: of a program that prints a line when it is ready.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self.command = list(command)
        self._process: subprocess.Popen[str] | None = None

    def start(self, *more: str) -> float:
        """Start it; return the moment when it was ready."""
        self._process = subprocess.Popen(
            [*self.command, *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if line != "ready":
            _, errors = self._process.communicate(timeout=10)
            raise AssertionError(f"{self.command[0]} did not start: {line} {errors}")
        return time.monotonic()

    def pause(self, paused: bool) -> None:
        """Stop it while its connections stay open, or let it continue."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP if paused else signal.SIGCONT)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate(timeout=10)
            self._process = None

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *_: Any) -> None:
        self.kill()


@dataclass
class Arrivals:
    """When frames arrived, how old they were by their stamps, and their sizes.

    Attributes:
        ages: seconds between the drawing of a picture and its reading.
    """

    times: list[float] = field(default_factory=list)
    ages: list[float] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)

    def keep(self, frame: Frame) -> Frame:
        now = time.monotonic()
        self.times.append(now)
        height, width = frame.image.shape[:2]
        self.sizes.append((width, height))
        if width >= WIDTH:
            self.ages.append(now - stamp_of(frame.image))
        return frame


def outages(
    reader: Reader, server: Served, starts: Sequence[Sequence[str]], normal: Callable[[], bool]
) -> list[float]:
    """Kill and restart a server once for each element of ``starts``, its arguments.

    Returns:
        Seconds from each restart, once the server listens, until frames are ``normal`` again.
    """
    returns = []
    for arguments in starts:
        server.kill()
        wait_for(reader.source, "lost")
        back = server.start(*arguments)
        wait_for(reader.source, "live")
        returns.append(wait_until(normal, "normal frames") - back)
        reader.wait_for_frames(10)
    return returns


def median(values: Sequence[float]) -> float:
    return statistics.median(values)
