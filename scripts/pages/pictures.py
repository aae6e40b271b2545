"""Photograph the page in Chromium (scripts/system_packages.sh), and segment a moving picture.

The machine should be idle, since the pictures show rates.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

import roadseg
from pipeline.stream.sources import open_source
from pipeline.stream.web.encoding import fitted

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parents[2]
_CHROMIUM = "/usr/bin/chromium"
_QUALITY = 82
_FPS, _SECONDS = 25, 8
#: Milliseconds that the browser may take for a step.
_PATIENCE = 120_000


@dataclass(frozen=True)
class Shot:
    """A picture of the page.

    Attributes:
        name: of the file in the output folder.
        size: of the window in CSS pixels.
        scheme: dark or light.
        phone: a touch screen with two device pixels per pixel.
        keys: pressed before the picture is taken.
    """

    name: str
    size: tuple[int, int]
    scheme: str = "dark"
    phone: bool = False
    keys: str = ""


#: Pictures in README or docs.
SHOTS = (
    Shot("page.jpg", (1360, 800)),
    Shot("page-light.jpg", (1360, 800), "light"),
    Shot("page-phone.jpg", (390, 844), phone=True),
    Shot("page-landscape.jpg", (844, 390), phone=True),
)
#: For whoever changes the page.
MORE_SHOTS = (
    Shot("both.jpg", (1360, 800), keys="4"),
    Shot("both-tall.jpg", (1000, 1100), keys="4"),
    Shot("wide.jpg", (1360, 800), keys="n"),
    Shot("keys.jpg", (1360, 800), keys="?"),
    Shot("small-desktop.jpg", (1024, 700), "light"),
    Shot("full.jpg", (1360, 800), keys="f"),
    Shot("phone-light.jpg", (390, 844), "light", phone=True),
    Shot("phone-both.jpg", (390, 844), phone=True, keys="4"),
    Shot("phone-small-landscape.jpg", (667, 375), "light", phone=True),
)

_ZONES = """\
zones:
  - name: ahead
    polygon: [[0.34, 0.99], [0.44, 0.6], [0.57, 0.6], [0.7, 0.99]]
    classes: [Car, Pedestrian, Bicyclist]
    above: 20%
    seconds: 0.5
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the pictures."""
    parser = argparse.ArgumentParser(prog="scripts/pictures.sh", description=__doc__)
    parser.add_argument("--network", default="deeplab_v3plus_lite", help="or an engine's path")
    parser.add_argument(
        "--source", default="synthetic:640x360", help="its first eight seconds are segmented"
    )
    parser.add_argument("--output", type=Path, default=ROOT / "docs", metavar="DIR")
    parser.add_argument(
        "--all",
        action="store_true",
        help="also views that no page shows, for whoever changes the page",
    )
    parser.add_argument("--only", choices=("page", "drive"), help="only these pictures")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        drive = Path(folder) / "drive.mp4"
        record(options.source, drive, _SECONDS * _FPS)
        if options.only in (None, "page"):
            shots = SHOTS + MORE_SHOTS if options.all else SHOTS
            with served(options.network, drive) as url:
                take(url, shots, options.output)
        if options.only in (None, "drive"):
            draw_drive(options.network, drive, options.output / "drive.webp")


def record(source: str, path: Path, frames: int) -> None:
    """Record frames of a source as a video, so that drawing them does not slow the page."""
    writer: cv2.VideoWriter | None = None
    with open_source(source) as opened:
        for _ in range(frames):
            frame = opened.read()
            if frame is None:
                break
            height, width = frame.image.shape[:2]
            if writer is None:
                codec = cv2.VideoWriter.fourcc(*"mp4v")
                writer = cv2.VideoWriter(str(path), codec, _FPS, (width, height))
            writer.write(frame.image)
    if writer is not None:
        writer.release()


@contextmanager
def served(network: str, drive: Path) -> Iterator[str]:
    """Run the page until the block ends; its address."""
    with tempfile.TemporaryDirectory() as folder:
        zones = Path(folder) / "zones.yaml"
        zones.write_text(_ZONES, encoding="utf-8")
        command = [sys.executable, "-m", "pipeline", "run", network, "--source", str(drive)]
        command += ["--realtime", "--loop", "--sink", "http", "--sink", f"zones:{zones}"]
        command += ["--http-port", "0"]
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            for line in process.stderr:
                if "the page is at" in line:
                    break
            else:
                raise SystemExit(f"{' '.join(command)} ended with {process.wait()}")
            try:
                yield line.split()[-1]
            finally:
                process.terminate()
                process.communicate(timeout=60)  # its last lines


def take(url: str, shots: Sequence[Shot], folder: Path) -> None:
    """Photograph the page in a browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # No sandbox: root cannot use it, and the only page is ours.
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox"])
        for shot in shots:
            _save(folder / shot.name, _photographed(browser, url, shot))
        browser.close()


def _photographed(browser: Browser, url: str, shot: Shot) -> bytes:
    width, height = shot.size
    form: dict[str, Any] = {"viewport": {"width": width, "height": height}}
    form |= {"color_scheme": shot.scheme, "device_scale_factor": 2 if shot.phone else 1}
    if shot.phone:
        form |= {"is_mobile": True, "has_touch": True}
    context = browser.new_context(**form)
    context.set_default_timeout(_PATIENCE)
    page = context.new_page()
    page.goto(url)
    for key in shot.keys:
        page.keyboard.press(key)
    _wait_for_pictures(page)
    picture = page.screenshot()
    context.close()
    return picture


def _wait_for_pictures(page: Page) -> None:
    """Wait until the charts have something to show."""
    page.wait_for_function("() => /\\d/.test(document.getElementById('fps').textContent)")
    page.wait_for_function(
        "() => (document.querySelector('#ages polyline')?.getAttribute('points') ?? '')"
        ".split(' ').length > 20"
    )


def _save(path: Path, png: bytes) -> None:
    picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])


def draw_drive(network: str, drive: Path, path: Path) -> None:
    """Segment a drive into a moving picture 640 pixels wide, every third frame."""
    every = 3
    frames = []
    with roadseg.load(network) as net:
        for number, result in enumerate(roadseg.stream(net, str(drive))):
            if number % every == 0:
                frames.append(fitted(result.overlay(legend=True), 640))
    animation = cv2.Animation()
    animation.frames = frames
    durations: Any = np.full(len(frames), 1000 * every // _FPS)  # a list is refused
    animation.durations = durations
    cv2.imwriteanimation(str(path), animation, [cv2.IMWRITE_WEBP_QUALITY, 50])


if __name__ == "__main__":
    began = time.monotonic()
    main()
    sys.stderr.write(f"made in {time.monotonic() - began:.0f} s\n")
