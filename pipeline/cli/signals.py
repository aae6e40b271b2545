"""Signals: an event that ends a stream, or an exception that ends a build.

Exit status after a signal: 0 if the source has no end of its own (a camera, the synthetic drive);
otherwise 128 plus the number of the signal, 130 or 143.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopEvent(threading.Event):
    """Ends a stream; ``signal`` is the first signal that set it, None if none did."""

    signal: int | None = None

    @property
    def status(self) -> int:
        """Exit status of work that the signal ended early; 0 if there was no signal."""
        return 0 if self.signal is None else 128 + self.signal


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP: cleaned up after like Ctrl-C."""


def raise_on_termination() -> None:
    """Turn SIGTERM, and SIGHUP unless it is ignored (``nohup``), into :class:`Terminated`."""

    def handle(_number: int, _frame: FrameType | None) -> None:
        raise Terminated

    signal.signal(signal.SIGTERM, handle)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, handle)


@contextmanager
def stop_on_signal() -> Iterator[StopEvent]:
    """Yield an event that the first SIGINT, SIGTERM or SIGHUP sets; a second SIGINT kills at once.

    An ignored SIGHUP (``nohup``) stays ignored. An ignored SIGINT does not: shells ignore it for
    background jobs of a script, and ``kill -INT`` should finish files there too. The handlers
    before are restored at the end. Outside the main thread no signal is handled.
    """
    stop = StopEvent()

    def handle(number: int, _frame: FrameType | None) -> None:
        if stop.is_set() and number == signal.SIGINT:
            # The default action, so that the shell sees a process that died of Ctrl-C.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
        if stop.signal is None:
            stop.signal = number
        stop.set()

    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        if before[signal.SIGHUP] is signal.SIG_IGN:
            del before[signal.SIGHUP]
    for number in before:
        signal.signal(number, handle)
    try:
        yield stop
    finally:
        for number, old in before.items():
            signal.signal(number, old)
