"""The window: on a real screen (Xvfb) if one is installed, otherwise and for keys on a double."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.errors import SinkError
from pipeline.stream.frame import Frame, Image, Result
from pipeline.stream.sinks import display as display_module
from pipeline.stream.sinks.base import SinkOptions
from pipeline.stream.sinks.display import DisplayProbe
from pipeline.stream.sinks.screen import Screen
from pipeline.stream.sinks.window import WindowSink, open_window
from pipeline.stream.web import HttpOptions, Page
from pipeline.stream.web.sink import PageSink

_ROOT = Path(__file__).parents[3]


class Desktop:
    """HighGUI without a screen: the pictures shown, by which thread, and the next key."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shown: dict[str, list[int]] = {}
        self.sizes: dict[str, tuple[int, int]] = {}
        self.threads: set[str] = set()
        self.key = -1
        self.closed: set[str] = set()
        self.broken = False
        for name, double in {
            "namedWindow": self.open,
            "resizeWindow": self.resize,
            "imshow": self.show,
            "waitKey": self.next_key,
            "getWindowProperty": self.visible,
            "destroyWindow": self.destroy,
        }.items():
            monkeypatch.setattr(cv2, name, double)

    def open(self, title: str, _flags: int) -> None:
        self._note()
        self.shown[title] = []

    def resize(self, title: str, width: int, height: int) -> None:
        self.sizes[title] = (width, height)

    def show(self, title: str, image: Image) -> None:
        self._note()
        if self.broken:
            raise cv2.error("the screen went away")
        self.shown[title].append(int(image[0, 0, 0]))

    def next_key(self, _milliseconds: int) -> int:
        self._note()
        time.sleep(0.001)
        key, self.key = self.key, -1
        return key

    def visible(self, title: str, _property: int) -> float:
        return 0.0 if title in self.closed else 1.0

    def destroy(self, title: str) -> None:
        self._note()
        self.closed.add(title)

    def _note(self) -> None:
        self.threads.add(threading.current_thread().name)


@pytest.fixture
def desktop(monkeypatch: pytest.MonkeyPatch) -> Desktop:
    return Desktop(monkeypatch)


def result(index: int, size: tuple[int, int] = (48, 64)) -> Result:
    image = np.full((*size, 3), index, np.uint8)
    frame = Frame(image, index, time.monotonic(), f"{index:06d}")
    return Result(frame, np.zeros((4, 4), np.uint8), time.monotonic(), overlay=image)


def test_all_windows_are_shown_by_one_thread_in_order(desktop: Desktop) -> None:
    screen = Screen()
    sinks = [WindowSink(SinkOptions(source=name), screen) for name in ("front", "rear", "rear")]
    threads = [threading.Thread(target=write_all, args=(sink, 5)) for sink in sinks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    titles = {"Roadseg: front", "Roadseg: rear", "Roadseg: rear (2)"}
    assert desktop.shown == {title: [0, 1, 2, 3, 4] for title in titles}
    assert desktop.closed == titles
    assert desktop.threads == {"roadseg-screen"}


def write_all(sink: WindowSink, count: int) -> None:
    with sink:
        for index in range(count):
            sink.write(result(index))


@pytest.mark.parametrize("key", [ord("q"), ord("Q"), 27])
def test_a_key_ends_the_stream(desktop: Desktop, key: int) -> None:
    with WindowSink(SinkOptions(), Screen()) as sink:
        ended = threading.Event()
        sink.end_stream = ended.set
        sink.write(result(0))
        assert not ended.is_set()
        desktop.key = key
        assert ended.wait(10)
        sink.write(result(1))  # captured frames are still written, to nowhere
    assert desktop.shown["Roadseg: "] == [0]


def test_another_key_does_not(desktop: Desktop) -> None:
    with WindowSink(SinkOptions(), Screen()) as sink:
        sink.end_stream = lambda: pytest.fail("ended")
        desktop.key = ord("x")
        sink.write(result(0))
        sink.write(result(1))


def test_closing_the_window_ends_the_stream(desktop: Desktop) -> None:
    with WindowSink(SinkOptions(source="front"), Screen()) as sink:
        ended = threading.Event()
        sink.end_stream = ended.set
        sink.write(result(0))
        desktop.closed.add("Roadseg: front")
        assert ended.wait(10)


def test_a_large_frame_gets_a_window_that_fits_on_a_screen(desktop: Desktop) -> None:
    with WindowSink(SinkOptions(source="front"), Screen()) as sink:
        sink.write(result(0, (2160, 3840)))
    assert desktop.sizes == {"Roadseg: front": (1280, 720)}


def test_a_screen_that_goes_away_is_an_error_of_the_sink(desktop: Desktop) -> None:
    with WindowSink(SinkOptions(), Screen()) as sink:
        sink.write(result(0))
        desktop.broken = True
        sink.write(result(1))  # the screen's thread notices
        with pytest.raises(SinkError, match="--sink http"):
            sink.write(result(2))


@pytest.fixture
def no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)


@pytest.mark.usefixtures("no_display")
def test_without_a_display_the_page_takes_over_and_says_so_in_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    with (
        Page(HttpOptions(port=0)) as page,
        open_window("window", SinkOptions(page=page.sink)) as sink,
    ):
        assert isinstance(sink, PageSink)
        (line,) = caplog.messages
        reason = "neither DISPLAY nor WAYLAND_DISPLAY is set"
        assert line == f"no window ({reason}); the pictures are at {page.url}"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Qt ends the process on Linux")
def test_a_display_that_does_not_answer_costs_a_probe_and_not_this_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", ":4217")
    assert DisplayProbe().reason == "the display cannot be opened"


def test_a_build_of_opencv_without_windows_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(cv2, "currentUIFramework", lambda: "")
    assert DisplayProbe().reason == "this build of OpenCV has no windows"


def test_a_probe_without_an_end_is_no_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(display_module, "_PROBE", "import time; time.sleep(60)")
    monkeypatch.setattr(display_module, "_TIMEOUT", 0.2)
    assert DisplayProbe().reason == "the display does not answer"


@pytest.mark.usefixtures("desktop")
def test_the_probe_keeps_the_display_until_the_window_is_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An X server without other clients resets when the last one leaves, and refuses the next."""
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(
        display_module, "_PROBE", "import sys; print('opened', flush=True); sys.stdin.read()"
    )
    probe = DisplayProbe()
    assert probe.reason is None
    process = probe._process
    assert process is not None
    with WindowSink(SinkOptions(), Screen(), probe) as sink:
        assert process.poll() is None
        sink.write(result(0))
        assert process.returncode is not None


@pytest.fixture
def display(system_part: Callable[[str, Sequence[str]], None]) -> Iterator[str]:
    """An invisible screen."""
    system_part("Xvfb", ["Xvfb", "-help"])
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "1280x800x24", "-nolisten", "tcp"],
        pass_fds=[write],
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    with os.fdopen(read) as number:
        yield f":{number.readline().strip()}"
    server.terminate()
    server.wait(10)


_ON_A_SCREEN = """
import sys, threading
import cv2, numpy as np
from pipeline.stream.frame import Frame, Result
from pipeline.stream.sinks.base import SinkOptions
from pipeline.stream.sinks.window import open_window

image = np.full((90, 120, 3), (0, 0, 255), np.uint8)
result = Result(Frame(image, 0, 0.0, "0"), image[..., 0], 0.0, overlay=image)

def write(name):
    with open_window("window", SinkOptions(source=name)) as sink:
        for _ in range(20):
            sink.write(result)
        print(f"{type(sink).__name__} {sink.written}\\n", end="", flush=True)  # one write each

for _ in range(2):  # windows open again after the last one was closed
    threads = [threading.Thread(target=write, args=(name,)) for name in ("front", "rear")]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
"""


def test_windows_open_and_close_on_a_real_screen_and_the_process_ends_well(display: str) -> None:
    environment = {**os.environ, "DISPLAY": display, "QT_QPA_PLATFORM": "xcb"}
    done = subprocess.run(
        [sys.executable, "-c", _ON_A_SCREEN],
        cwd=_ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.splitlines() == ["WindowSink 20"] * 4
    assert done.returncode == 0, done.stderr
