"""Ctrl-C and its relatives: an event that a stream looks at, or an exception that ends a build.

Exit status after a signal: 0 where what ran has no end of its own (a camera, the drawn drive),
since that is how it ends; otherwise 128 and the number of the signal, 130 or 143.
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
    """Set by a signal, or by whatever else ends a stream; ``signal`` is the first one, or None."""

    signal: int | None = None

    @property
    def status(self) -> int:
        """Exit status of what the signal cut short; 0 where there was none."""
        return 0 if self.signal is None else 128 + self.signal


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP: cleaned up after like Ctrl-C."""


def raise_on_termination() -> None:
    """Make SIGTERM an exception: a terminated build cleans up as an interrupted one does.

    So is the end of the terminal, SIGHUP, unless it is ignored (``nohup``).
    """

    def handle(_number: int, _frame: FrameType | None) -> None:
        raise Terminated

    signal.signal(signal.SIGTERM, handle)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, handle)


@contextmanager
def stop_on_signal() -> Iterator[StopEvent]:
    """Yield an event that the first SIGINT, SIGTERM or SIGHUP sets; a second SIGINT kills at once.

    An ignored SIGHUP (``nohup``) stays ignored; SIGINT does not, since shells ignore it for what a
    script starts in the background, and ``kill -INT`` should finish files there too. Handlers are
    put back at the end. Outside the main thread none can be set: the event is then only an event.
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
