"""What is compared: every time and every figure by name, measured by the code of one checkout.

A base commit measures with its own copy of this file, so interfaces may change between the two; the
words in ``work`` say what is done, and have to be the same on both sides.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, partial
from hashlib import sha256
from pathlib import Path

import numpy as np

from calibration.scenes.dataset import open_labelled_folder
from calibration.scenes.synthetic import SyntheticDrive
from models.classes import CAMVID
from pipeline.engine.manifest import Engine, load_engine
from pipeline.evaluation.accuracy import evaluate
from pipeline.evaluation.profile.bench import write_clip
from pipeline.frame import Frame, Image, Result
from pipeline.runtimes.null import NullSession
from pipeline.runtimes.openvino.core import compile_for_cpu
from pipeline.runtimes.registry import open_session
from pipeline.runtimes.session import Session
from pipeline.stream import StreamOptions, run
from pipeline.stream.overlay import Overlay, class_shares
from pipeline.stream.sinks import SinkOptions, open_sinks
from pipeline.stream.sinks.none import NoneSink
from pipeline.stream.sources import open_source
from pipeline.stream.sources.base import Source

ROOT = Path(__file__).resolve().parents[2]
NETWORKS = ("segnet_lite", "deeplab_v3plus_lite")
#: runtime -> precisions that are compared, and runs of an engine in one burst of about 0.1 s.
RUNTIMES = {
    "openvino": (("int8", "fp32"), 8),
    "tensorrt": (("int8", "fp16"), 64),
    "tensorrt-rtx": (("int8", "fp16"), 64),
}
_SIZE, _CLIP_FRAMES, _HANDED = (960, 540), 12, 400
#: Every so many frames of CamVid's val split are scored.
_EVERY = 4
#: Nodes of OpenVINO's executed graph that do no work.
_IDLE = {"Input", "Output", "Constant", "Result", "Parameter"}


@dataclass(frozen=True)
class Time:
    """Attributes: ``work``, in words; ``open`` prepares it and gives a burst -> seconds of a unit."""

    work: str
    open: Callable[[], Callable[[], float]]


@dataclass(frozen=True)
class Figure:
    """A value that a busy machine does not move.

    Attributes:
        unit: in words.
        measure: returns it.
        higher: whether more is better.
        tolerance: share of the value by which it may be worse.
    """

    unit: str
    measure: Callable[[], float]
    higher: bool = False
    tolerance: float = 0.0

    def worse(self, head: float, base: float) -> bool:
        """Whether ``head`` is worse than ``base``."""
        lost = base - head if self.higher else head - base
        return lost > self.tolerance * abs(base)


class Catalogue:
    """All times and figures of one runtime; nothing is built or opened before it is asked for.

    Args:
        runtime: key of :data:`RUNTIMES`.
        folder: for engines, clips and what is written.
    """

    def __init__(self, runtime: str, folder: Path) -> None:
        self._runtime, self._folder = runtime, folder
        precisions, burst = RUNTIMES[runtime]
        self.times: dict[str, Time] = {}
        self.figures: dict[str, Figure] = {}
        for network in NETWORKS:
            for precision in precisions:
                self._add_engine(network, precision, burst)
        self._add_stages()
        first = partial(self._start, NETWORKS[0], precisions[0])
        self.times["start to first frame"] = Time("a process, one frame of 960x540", lambda: first)
        if runtime == "openvino":
            for network in NETWORKS:
                for precision in RUNTIMES["tensorrt-rtx"][0]:
                    self._add_layer_list(network, precision)

    def _add_engine(self, network: str, precision: str, burst: int) -> None:
        name = f"{network} {precision}"
        burst = max(burst // (1 if precision == "int8" else 2), 1)

        def latency() -> Callable[[], float]:
            session = self._session(network, precision)
            return partial(_middle, partial(session.run, self._frame[None]), burst)

        def file_to_video() -> Callable[[], float]:
            session = self._session(network, precision)
            return partial(_whole, partial(self._stream, session), _CLIP_FRAMES)

        self.times[f"{name} latency"] = Time(f"median of {burst} frames of 960x540", latency)
        self.times[f"{name} file to video"] = Time("12 frames of 960x540", file_to_video)
        self.figures[f"{name} bytes of a run"] = Figure(
            "KiB", lambda: _kib(partial(self._session(network, precision).run, self._frame[None]))
        )
        if os.environ.get("ROADSEG_DATA"):
            miou = partial(self._miou, network, precision)
            self.figures[f"{name} mIoU"] = Figure("%", miou, higher=True)
        self.figures[f"{name} kernels"] = Figure(
            "kernels", lambda: _kernels(self._engine(network, precision))
        )
        if precision == "int8":
            self.figures[f"{name} convolutions"] = Figure(
                "convolutions in INT8",
                lambda: self._engine(network, "int8").manifest.layers.counts()["int8"],
                higher=True,
            )

    def _add_layer_list(self, network: str, precision: str) -> None:
        """What the builder of TensorRT for RTX says of its engine; it needs no GPU."""
        name = f"{network} {precision} on tensorrt-rtx"

        def engine() -> Engine:
            return self._engine(network, precision, "tensorrt-rtx")

        self.figures[f"{name} kernels"] = Figure("kernels", lambda: _kernels(engine()))
        self.figures[f"{name} convolutions"] = Figure(
            f"convolutions in {precision.upper()}",
            lambda: engine().manifest.layers.counts()[precision],
            higher=True,
        )
        self.figures[f"{name} size"] = Figure(
            "MB", lambda: sum(file.bytes for file in engine().manifest.files) / 1e6, tolerance=0.02
        )

    def _add_stages(self) -> None:
        size = (1280, 720)
        image = SyntheticDrive(*size).frame(0)[0]
        classes, overlay = _stripes(), Overlay(CAMVID)

        def draw() -> Image:
            shares = class_shares(classes, len(CAMVID))
            return overlay.draw(image, classes, shares, "25.0 fps   age 40 ms")

        def decode() -> Callable[[], float]:
            clip = self._clip(size)
            return partial(_whole, partial(_decode, clip), 2 * _CLIP_FRAMES)

        def encode() -> Callable[[], float]:
            drawn, path = draw(), self._folder / "encoded.mp4"
            return partial(_whole, partial(_encode, drawn, path), _CLIP_FRAMES)

        def hand_over() -> Callable[[], float]:
            return partial(_whole, partial(_hand_over, image), _HANDED)

        self.times["decode"] = Time("24 frames of 1280x720", decode)
        self.times["draw"] = Time("median of 30 frames of 1280x720", lambda: partial(_middle, draw, 30))
        self.times["encode"] = Time("12 frames of 1280x720", encode)
        self.times["hand over"] = Time("400 frames of 1280x720", hand_over)
        self.figures["draw bytes"] = Figure("KiB", lambda: _kib(draw))

    @cached_property
    def _frame(self) -> Image:
        return SyntheticDrive(*_SIZE).frame(0)[0]

    @cached_property
    def _engines(self) -> Path:
        """Folder of the engines of these sources: what leads to an engine changes its name."""
        listed = ["git", "ls-files", "-coz", "--exclude-standard", "models", "calibration",
                  "pipeline", "constraints.txt"]  # fmt: skip
        names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        digest = sha256()
        for name in sorted(filter(None, names.split("\0"))):
            if (ROOT / name).is_file():
                digest.update(name.encode() + (ROOT / name).read_bytes())
        return self._folder / "engines" / digest.hexdigest()[:16]

    def _engine(self, network: str, precision: str, runtime: str | None = None) -> Engine:
        folder = self._engines / f"{network}-{runtime or self._runtime}-{precision}"
        if not any(folder.glob("*.json")):
            command = [sys.executable, "-m", "pipeline", "build", network, "--precision", precision,
                       "--runtime", runtime or self._runtime, "--output", str(folder)]  # fmt: skip
            built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
            if built.returncode:
                raise RuntimeError(f"building {network} in {precision}: {built.stderr[-2000:]}")
        [manifest] = folder.glob("*.json")
        return load_engine(manifest)

    @cached_property
    def _opened(self) -> dict[tuple[str, str], Session]:
        return {}

    def _session(self, network: str, precision: str) -> Session:
        key = (network, precision)
        if key not in self._opened:
            self._opened[key] = open_session(self._engine(*key))
        return self._opened[key]

    def _clip(self, size: tuple[int, int]) -> Path:
        path = self._folder / f"clip{size[1]}.mp4"
        if not path.exists():
            write_clip(path, size, _CLIP_FRAMES * (2 if size[1] == 720 else 1))
        return path

    def _stream(self, session: Session) -> None:
        source = open_source(str(self._clip(_SIZE)))
        options = SinkOptions(CAMVID, source.name, source.fps, force=True)
        sinks = open_sinks([str(self._folder / "out.mp4")], options)
        run(session, source, sinks, StreamOptions(CAMVID))

    def _start(self, network: str, precision: str) -> float:
        path, clip = self._engine(network, precision).path, self._clip(_SIZE)
        command = [sys.executable, "-m", "pipeline", "run", str(path), "--source", str(clip),
                   "--frames", "1"]  # fmt: skip
        # As on a user's machine: what was compiled or imported once is not made again.
        kept = {name: str(self._folder / name) for name in ("ROADSEG_CACHE", "PYTHONPYCACHEPREFIX")}
        environment = {**os.environ, **kept}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        started = time.perf_counter()
        subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
        return time.perf_counter() - started

    def _miou(self, network: str, precision: str) -> float:
        data = Path(os.environ["ROADSEG_DATA"], "camvid", "val")
        folder = open_labelled_folder(data, CAMVID)
        samples = (folder[index] for index in range(0, len(folder), _EVERY))
        return round(100 * evaluate(self._session(network, precision), samples, CAMVID).miou, 2)


def _middle(work: Callable[[], object], count: int) -> float:
    """Median seconds of ``count`` runs."""
    times = []
    for _ in range(count):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def _whole(work: Callable[[], object], units: int) -> float:
    """Seconds of a unit of work that is timed as a whole."""
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) / units


def _kib(work: Callable[[], object]) -> float:
    """KiB that Python and NumPy hold at once for a piece of work, beyond those before it."""
    peaks = []
    for _ in range(4):  # what is kept from one run to the next is there after the first
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            work()
            peaks.append(tracemalloc.get_traced_memory()[1] - before)
        finally:
            tracemalloc.stop()
    return float(-(-min(peaks) // 1024))


def _kernels(engine: Engine) -> float:
    """Kernels of an engine: OpenVINO's executed graph, or the list of TensorRT's builder."""
    manifest = engine.manifest
    if manifest.runtime != "openvino":
        return float(manifest.settings["kernels"])
    model = compile_for_cpu(engine.path, manifest.precision).get_runtime_model()
    kinds = [node.get_rt_info()["layerType"].astype(str) for node in model.get_ops()]
    return float(len([kind for kind in kinds if kind not in _IDLE]))


def _stripes() -> Image:
    """A class map of eleven stripes."""
    rows = np.arange(360) * 11 // 360
    return np.repeat(rows[:, None], 480, axis=1).astype(np.uint8)


def _decode(clip: Path) -> None:
    with open_source(str(clip)) as source:
        while source.read() is not None:
            pass


def _encode(drawn: Image, path: Path) -> None:
    classes = _stripes()
    [sink] = open_sinks([str(path)], SinkOptions(fps=25.0, force=True))
    with sink:
        for index in range(_CLIP_FRAMES):
            frame = Frame(drawn, index, 0.0, f"{index:06d}")
            sink.write(Result(frame, classes, 0.0, overlay=drawn))


class _Pictures(Source):
    """One picture again and again."""

    def __init__(self, image: Image) -> None:
        super().__init__("pictures")
        self._frames: Iterable[Frame] = iter(
            Frame(image, index, time.monotonic(), f"{index:06d}") for index in range(_HANDED)
        )

    def _read(self) -> Frame | None:
        return next(iter(self._frames), None)


def _hand_over(image: Image) -> None:
    run(NullSession(), _Pictures(image), [NoneSink()])
