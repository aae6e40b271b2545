"""What is compared: times and figures by name, measured by the code of one checkout.

A base commit measures with its own copy of this file, so interfaces may change between the two.
The work behind a name must stay the same; other work gets another name.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
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
from pipeline.runtimes.null import NullSession
from pipeline.runtimes.openvino.core import compile_for_cpu
from pipeline.runtimes.registry import open_session
from pipeline.runtimes.session import Session
from pipeline.stream import StreamOptions, run
from pipeline.stream.frame import Frame, Image, Result
from pipeline.stream.overlay import Overlay, class_shares
from pipeline.stream.sinks import SinkOptions, open_sinks
from pipeline.stream.sinks.none import NoneSink
from pipeline.stream.sources import open_source
from pipeline.stream.sources.base import Source

ROOT = Path(__file__).resolve().parents[2]
NETWORKS = ("segnet_lite", "deeplab_v3plus_lite")
#: runtime -> precision -> runs of an engine in one burst of 0.1 s.
RUNTIMES = {
    "openvino": {"int8": 4, "fp32": 2},
    "tensorrt": {"int8": 64, "fp16": 64},
    "tensorrt-rtx": {"int8": 64, "fp16": 64},
}
#: Prefix of figures from the builder of TensorRT for RTX; the same on every machine.
LISTED = "tensorrt-rtx list: "
_ENGINE_SIZE, _STAGE_SIZE, _FRAMES, _HANDED, _DECODED = (960, 540), (1280, 720), 12, 1600, 4
#: Every so many frames of CamVid's val split are scored.
_EVERY = 4
#: Nodes of OpenVINO's executed graph that do no work.
_IDLE = {"Input", "Output", "Constant", "Result", "Parameter"}

#: Does a burst of work and returns the seconds of one unit of it.
Burst = Callable[[], float]


@dataclass(frozen=True)
class Figure:
    """A value that does not depend on the load.

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


class Catalogue:
    """All times and figures of one runtime; nothing is built or opened before it is asked for.

    Args:
        runtime: key of :data:`RUNTIMES`.
        folder: for engines, clips and what is written.
    """

    def __init__(self, runtime: str, folder: Path) -> None:
        self._runtime, self._folder = runtime, folder
        self._sessions: dict[tuple[str, str], Session] = {}
        self._image = SyntheticDrive(*_STAGE_SIZE).frame(0)[0]
        self._frames = SyntheticDrive(*_ENGINE_SIZE).frame(0)[0][None]
        self._overlay, self._classes = Overlay(CAMVID), _stripes()
        first = (NETWORKS[0], "int8")
        #: name -> opens what is timed.
        self.times: dict[str, Callable[[], Burst]] = {
            "decode": lambda: partial(
                _whole, partial(_decode, self._clip(_STAGE_SIZE)), _FRAMES * _DECODED
            ),
            "draw": lambda: partial(_middle, self._draw, 30),
            "encode": lambda: partial(_whole, partial(self._encode, self._draw()), _FRAMES),
            "hand over": lambda: partial(_whole, partial(_hand_over, self._image), _HANDED),
            "start to first frame": lambda: partial(_whole, partial(self._start, *first), 1),
        }
        self.figures = {"draw bytes": Figure("KiB", partial(_kib, self._draw))}
        for network in NETWORKS:
            for precision, runs in RUNTIMES[runtime].items():
                self._add_engine(network, precision, runs)
            if runtime == "openvino":
                for precision in RUNTIMES["tensorrt-rtx"]:
                    name = f"{LISTED}{network} {precision}"
                    self._add_layers(name, network, precision, "tensorrt-rtx")

    def _add_engine(self, network: str, precision: str, runs: int) -> None:
        name, once = f"{network} {precision}", partial(self._infer, network, precision)
        stream = partial(self._stream, network, precision)
        self.times[f"{name} latency"] = lambda: partial(_middle, once, runs)
        self.times[f"{name} file to video"] = lambda: partial(_whole, stream, _FRAMES)
        self.figures[f"{name} bytes of a run"] = Figure("KiB", partial(_kib, once))
        if os.environ.get("ROADSEG_DATA"):
            miou = partial(self._miou, network, precision)
            self.figures[f"{name} mIoU"] = Figure("%", miou, higher=True)
        self._add_layers(name, network, precision, self._runtime)

    def _add_layers(self, name: str, network: str, precision: str, runtime: str) -> None:
        engine = partial(self._engine, network, precision, runtime)
        self.figures[f"{name} kernels"] = Figure("kernels", lambda: _kernels(engine()))
        self.figures[f"{name} convolutions in {precision}"] = Figure(
            "convolutions", lambda: engine().manifest.layers.counts()[precision], higher=True
        )
        self.figures[f"{name} size"] = Figure(
            "MB", lambda: sum(file.bytes for file in engine().manifest.files) / 1e6, tolerance=0.02
        )

    @cached_property
    def _engines(self) -> Path:
        """Folder of the engines of these sources, named after everything that affects one."""
        listed = ["git", "ls-files", "-coz", "--exclude-standard", "models", "calibration",
                  "pipeline", "constraints.txt"]  # fmt: skip
        names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        paths = [ROOT / name for name in sorted(filter(None, names.split("\0")))]
        digest = sha256()
        for path in filter(Path.is_file, paths):
            digest.update(path.name.encode() + path.read_bytes())
        return self._folder / digest.hexdigest()[:16]

    def _engine(self, network: str, precision: str, runtime: str) -> Engine:
        manifest = self._engines / f"{network}-{runtime}-{precision}.json"
        if not manifest.exists():
            command = ["build", network, "--precision", precision, "--runtime", runtime,
                       "--output", str(self._engines)]  # fmt: skip
            _command(command, dict(os.environ))
        return load_engine(manifest)

    def _session(self, network: str, precision: str) -> Session:
        key = (network, precision)
        if key not in self._sessions:
            self._sessions[key] = open_session(self._engine(*key, self._runtime), measuring=True)
        return self._sessions[key]

    def _infer(self, network: str, precision: str) -> None:
        self._session(network, precision).run(self._frames)

    def _clip(self, size: tuple[int, int]) -> Path:
        path = self._folder / f"{size[1]}.mp4"
        if not path.exists():
            write_clip(path, size, _FRAMES)
        return path

    def _stream(self, network: str, precision: str) -> None:
        source = open_source(str(self._clip(_ENGINE_SIZE)))
        options = SinkOptions(CAMVID, source.name, source.fps, force=True)
        sinks = open_sinks([str(self._folder / "out.mp4")], options)
        run(self._session(network, precision), source, sinks, StreamOptions(CAMVID))

    def _start(self, network: str, precision: str) -> None:
        path, clip = self._engine(network, precision, self._runtime).path, self._clip(_ENGINE_SIZE)
        # As on a user's machine: with the caches of earlier runs.
        kept = {name: str(self._folder / name) for name in ("ROADSEG_CACHE", "PYTHONPYCACHEPREFIX")}
        environment = {**os.environ, **kept}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        _command(["run", str(path), "--source", str(clip), "--frames", "1"], environment)

    def _draw(self) -> Image:
        shares = class_shares(self._classes, len(CAMVID))
        return self._overlay.draw(self._image, self._classes, shares, "25.0 fps   age 40 ms")

    def _encode(self, drawn: Image) -> None:
        [sink] = open_sinks([str(self._folder / "drawn.mp4")], SinkOptions(fps=25.0, force=True))
        with sink:
            for index in range(_FRAMES):
                frame = Frame(drawn, index, 0.0, f"{index:06d}")
                sink.write(Result(frame, self._classes, 0.0, overlay=drawn))

    def _miou(self, network: str, precision: str) -> float:
        folder = open_labelled_folder(Path(os.environ["ROADSEG_DATA"], "camvid", "val"), CAMVID)
        samples = (folder[index] for index in range(0, len(folder), _EVERY))
        return round(100 * evaluate(self._session(network, precision), samples, CAMVID).miou, 2)


def _command(arguments: list[str], environment: dict[str, str]) -> None:
    """Run the project's command of this checkout."""
    command = [sys.executable, "-m", "pipeline", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)}: {done.stderr.strip()}")


def _middle(work: Callable[[], object], runs: int) -> float:
    """Median seconds of a run."""
    return statistics.median(_whole(work, 1) for _ in range(runs))


def _whole(work: Callable[[], object], units: int) -> float:
    """Seconds of a unit of work that is timed as a whole."""
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) / units


def _kib(work: Callable[[], object]) -> float:
    """Peak KiB that Python and NumPy allocate for a piece of work."""
    peaks = []
    for _ in range(4):  # buffers kept between runs exist after the first
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
        return float(manifest.layers.kernels or 0)
    model = compile_for_cpu(engine.path, manifest.precision).get_runtime_model()
    kinds = [node.get_rt_info()["layerType"].astype(str) for node in model.get_ops()]
    return float(len([kind for kind in kinds if kind not in _IDLE]))


def _stripes() -> Image:
    """A class map of eleven stripes."""
    rows = np.arange(360) * 11 // 360
    return np.repeat(rows[:, None], 480, axis=1).astype(np.uint8)


def _decode(clip: Path) -> None:
    for _ in range(_DECODED):
        with open_source(str(clip)) as source:
            while source.read() is not None:
                pass


class _Pictures(Source):
    """One picture repeated."""

    def __init__(self, image: Image) -> None:
        super().__init__("pictures")
        self._frames = (Frame(image, i, time.monotonic(), f"{i:06d}") for i in range(_HANDED))

    def _read(self) -> Frame | None:
        return next(self._frames, None)


def _hand_over(image: Image) -> None:
    run(NullSession(), _Pictures(image), [NoneSink()])
