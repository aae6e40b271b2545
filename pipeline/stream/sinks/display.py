"""Whether a window can be opened on this machine's display."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import cv2

_TIMEOUT = 10.0
_PROBE = """
import sys
import cv2

cv2.namedWindow("roadseg", cv2.WINDOW_NORMAL)
cv2.destroyAllWindows()
print("opened", flush=True)
sys.stdin.read()  # ends with the process that asked, at the latest
"""


class DisplayProbe:
    """Opens a window in another process, to see whether this one can.

    If the display does not answer, Qt ends the whole process, so another process tries first. It
    stays connected until ``close``: an X server resets when its last client leaves, and a process
    that connects at that moment would be ended, too.

    Attributes:
        reason: why no window can be opened, in a few words; None if one can.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self.reason = _why_not() or self._try()

    def close(self) -> None:
        """End the process; to be called when this one has opened its window, or wants none."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def _try(self) -> str | None:
        try:
            process = subprocess.Popen(
                [sys.executable, "-c", _PROBE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except OSError:
            return "the display does not answer"
        assert process.stdout is not None
        self._process = process
        timer = threading.Timer(_TIMEOUT, process.kill)
        timer.start()
        opened = process.stdout.readline()
        late = timer.finished.is_set()
        timer.cancel()
        if opened:
            return None
        self.close()
        return "the display does not answer" if late else "the display cannot be opened"


def _why_not() -> str | None:
    """Return a reason that is known without trying; None if there is none."""
    if sys.platform == "darwin":
        return "macOS allows windows to the main thread only"
    if sys.platform.startswith("linux") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        return "neither DISPLAY nor WAYLAND_DISPLAY is set"
    try:
        known = bool(cv2.currentUIFramework())
    except (AttributeError, cv2.error):
        known = False
    return None if known else "this build of OpenCV has no windows"
