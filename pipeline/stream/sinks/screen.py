"""The one thread that handles OpenCV's windows.

HighGUI may be used from one thread only, and its windows freeze unless events are processed. So one
thread shows the windows of all cameras and processes their events; sinks give it pictures.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import cv2

from pipeline.errors import SinkError
from pipeline.stream.frame import Image
from pipeline.stream.queues import LatestValueQueue
from pipeline.stream.waiting import CLOSE_TIMEOUT

#: Longest time in milliseconds for processing events once.
_EVENTS_MS = 5
_ESCAPE = 27


@dataclass(eq=False)
class Picture:
    """A picture to be shown.

    Attributes:
        image: (H, W, 3) uint8 BGR.
        seen: set when it is on the screen, or was dropped.
    """

    image: Image
    seen: threading.Event = field(default_factory=threading.Event)


@dataclass(eq=False)
class Window:
    """A window, as its sink uses it.

    Attributes:
        title: unique on this screen.
        closed_by_user: called once, when the user closes it.
        opened: called when it is on the screen.
        pictures: the next one to be shown; closed to close the window.
        is_open: it is on the screen.
        gone: set when it was removed.
    """

    title: str
    closed_by_user: Callable[[], None]
    opened: Callable[[], None]
    pictures: LatestValueQueue[Picture]
    is_open: bool = False
    gone: threading.Event = field(default_factory=threading.Event)


class Screen:
    """All windows of this process, and the thread that shows them.

    The thread goes on after the last window, since Qt may only be used from the thread that used it
    first. It then waits in Python code, where the end of the process can stop it safely.
    """

    _only: Screen | None = None
    _only_lock = threading.Lock()

    def __init__(self) -> None:
        self._windows: list[Window] = []
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._error: str | None = None
        threading.Thread(target=self._run, name="roadseg-screen", daemon=True).start()

    @classmethod
    def shared(cls) -> Screen:
        """Return the screen of this process."""
        with cls._only_lock:
            if cls._only is None:
                cls._only = cls()
            return cls._only

    def add(
        self, title: str, closed_by_user: Callable[[], None], opened: Callable[[], None]
    ) -> Window:
        """Add a window, which opens with its first picture; a title in use gets a number."""
        with self._lock:
            taken = {window.title for window in self._windows}
            unique, number = title, 2
            while unique in taken:
                unique, number = f"{title} ({number})", number + 1
            pictures: LatestValueQueue[Picture] = LatestValueQueue(
                on_drop=lambda picture: picture.seen.set(), wake_up=self._wake
            )
            window = Window(unique, closed_by_user, opened, pictures)
            self._windows.append(window)
        return window

    def show(self, window: Window, picture: Picture) -> None:
        """Show a picture soon; one that still waits is dropped.

        Raises:
            SinkError: OpenCV's windows have failed.
        """
        if self._error is not None:
            raise SinkError(f"the window cannot be shown ({self._error}); use --sink http instead")
        window.pictures.put(picture)

    def remove(self, window: Window) -> None:
        """Close a window; returns when it is gone."""
        window.pictures.cancel()
        if self._error is None:
            window.gone.wait(CLOSE_TIMEOUT)

    def _run(self) -> None:
        try:
            while True:
                self._wake.clear()
                self._close_done()
                windows = self._all()
                if any(window.is_open or not window.pictures.is_empty for window in windows):
                    self._turn(windows)
                else:
                    self._wake.wait()
        except cv2.error as error:
            self._error = str(error.err)
            for window in self._all():
                window.pictures.cancel()
                window.gone.set()

    def _all(self) -> list[Window]:
        with self._lock:
            return list(self._windows)

    def _close_done(self) -> None:
        for window in [one for one in self._all() if one.pictures.closed]:
            if window.is_open:
                cv2.destroyWindow(window.title)
                cv2.waitKey(1)  # some toolkits close a window only when asked for events
            with self._lock:
                self._windows.remove(window)
            window.gone.set()

    def _turn(self, windows: list[Window]) -> None:
        """Show the waiting pictures, then process keys and closed windows once."""
        shown = []
        try:
            for window in windows:
                if (picture := window.pictures.take()) is None:
                    continue
                shown.append(picture)
                if not window.is_open:
                    _open(window, picture.image)
                cv2.imshow(window.title, picture.image)
            key = cv2.waitKey(_EVENTS_MS) & 0xFF
        finally:
            for picture in shown:
                picture.seen.set()
        quits = key in {_ESCAPE, ord("q"), ord("Q")}
        for window in [one for one in windows if one.is_open and not one.pictures.closed]:
            if quits or cv2.getWindowProperty(window.title, cv2.WND_PROP_VISIBLE) < 1:
                window.pictures.cancel()
                window.closed_by_user()


def _open(window: Window, image: Image) -> None:
    """Open a window of the picture's size, or smaller to fit on most screens."""
    height, width = image.shape[:2]
    scale = min(1.0, 1280 / width, 800 / height)
    flags = cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL
    cv2.namedWindow(window.title, flags)
    cv2.resizeWindow(window.title, round(width * scale), round(height * scale))
    window.is_open = True
    window.opened()
