"""What the gate measures: engines, from a file to a video, and the stages around the engine."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from calibration.scenes.dataset import open_labelled_folder
from calibration.scenes.synthetic import SyntheticDrive
from models.classes import CAMVID
from pipeline.engine.manifest import Engine
from pipeline.errors import BenchmarkError
from pipeline.evaluation.accuracy import evaluate
from pipeline.evaluation.profile.bench import write_clip
from pipeline.evaluation.profile.machine import gpu_class, machine_class, model_class
from pipeline.frame import Frame, Image, Result
from pipeline.gate.baseline import Figure, Subject
from pipeline.gate.measure import PROCESSOR, Suite, Timed, Work, bytes_of
from pipeline.runtimes.null import NullSession
from pipeline.runtimes.probe import Probe, Shape
from pipeline.runtimes.registry import open_session
from pipeline.runtimes.session import Session
from pipeline.stream import StreamOptions, run
from pipeline.stream.overlay import Overlay, class_shares
from pipeline.stream.sinks import SinkOptions, open_sinks
from pipeline.stream.sinks.none import NoneSink
from pipeline.stream.sources import open_source
from pipeline.stream.sources.base import Source

#: The reference of engines: what their first, middle and last stages look like.
REFERENCE = (Shape(32, 90, 120), Shape(64, 45, 60), Shape(256, 11, 15))
_SIZE = (960, 540)
_CLIP_FRAMES = 12
_TURNS, _CLIP_TURNS = 16, 10
#: Every so many frames of CamVid's val split are scored.
_EVERY = 4


@contextmanager
def engine_suite(engines: list[Engine], precision: str, probe: Probe) -> Iterator[Suite]:
    """Engines of one runtime and precision: latency, file to video, bytes of a run, mIoU.

    Args:
        engines: one at least.
        precision: that they were asked to be in, and the reference load is.
        probe: of their runtime.
    """
    manifest = engines[0].manifest
    machine = gpu_class(probe.accelerator) if probe.accelerator else machine_class()
    subject = Subject(machine, manifest.runtime, manifest.runtime_version, precision)
    narrow = None if probe.accelerator else replace(subject, machine=model_class())
    times: dict[str, Timed] = {}
    values: dict[str, Callable[[], Figure]] = {}
    unmeasured: dict[str, str] = {}
    data = _road_data()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="roadseg-fps-")))
        clip = folder / "clip.mp4"
        write_clip(clip, _SIZE, _CLIP_FRAMES)
        frame = SyntheticDrive(*_SIZE).frame(0)[0][None]
        # Processor time is taken with one thread, which only processors have (see ``measure``).
        threads = {"": 0} if probe.accelerator else {"": 0, PROCESSOR: 1}
        loads = {
            which: _once(stack.enter_context(probe.load(REFERENCE, precision, count)).run)
            for which, count in threads.items()
        }
        for engine in engines:
            name = engine.manifest.model
            session = stack.enter_context(open_session(engine))
            segment = partial(session.run, frame)
            for which, reference in loads.items():
                one = session
                if threads[which]:
                    one = stack.enter_context(open_session(engine, threads=threads[which]))
                stream = partial(_stream, engine, one, clip, folder / f"{name}.mp4")
                segment_once = _once(partial(one.run, frame))
                times[f"{which}{name} latency"] = Timed(segment_once, _TURNS, reference)
                times[f"{which}{name} file to video"] = Timed(stream, _CLIP_TURNS, reference)
            values[f"{name} bytes of a run"] = partial(bytes_of, segment)
            if data is None:
                unmeasured[f"{name} mIoU"] = "ROADSEG_DATA is not set"
            else:
                values[f"{name} mIoU"] = partial(_miou, engine, session, data)
        yield Suite(subject, loads[""], times, values, unmeasured, narrow)


@contextmanager
def stage_suite() -> Iterator[Suite]:
    """Decode, draw, encode and hand over, without an engine; the reference is OpenCV's too."""
    subject = Subject(machine_class(), "opencv", cv2.__version__, "none")
    size = (1280, 720)
    image = SyntheticDrive(*size).frame(0)[0]
    classes, overlay = _map(), Overlay(CAMVID)

    def draw() -> Image:
        shares = class_shares(classes, len(CAMVID))
        return overlay.draw(image, classes, shares, "25.0 fps   age 40 ms")

    with tempfile.TemporaryDirectory(prefix="roadseg-fps-") as folder:
        clip = Path(folder, "clip.mp4")
        write_clip(clip, size, _CLIP_FRAMES)
        works: dict[str, Work] = {
            "decode": partial(_decode, clip),
            "draw": _once(draw),
            "encode": partial(_encode, draw(), Path(folder)),
            "hand over": partial(_hand_over, image),
        }
        times = {name: Timed(work, _TURNS) for name, work in works.items()}
        values = {"draw bytes": partial(bytes_of, draw)}
        narrow = replace(subject, machine=model_class())
        yield Suite(subject, _once(_reference()), times, values, {}, narrow)


def _road_data() -> Path | None:
    folder = os.environ.get("ROADSEG_DATA")
    if folder:
        return Path(folder)
    if os.environ.get("ROADSEG_REQUIRE_DATA") == "1":
        raise BenchmarkError(
            "ROADSEG_DATA is not set and ROADSEG_REQUIRE_DATA=1 asks for it; name the folder with "
            "road data (README, Road data)"
        )
    return None


def _once(work: Callable[[], object]) -> Work:
    def unit() -> int:
        work()
        return 1

    return unit


def _stream(engine: Engine, session: Session, clip: Path, output: Path) -> int:
    classes = engine.manifest.classes
    source = open_source(str(clip))
    options = SinkOptions(classes, source.name, source.fps, force=True)
    return run(session, source, open_sinks([str(output)], options), StreamOptions(classes)).frames


def _miou(engine: Engine, session: Session, data: Path) -> Figure:
    classes = engine.manifest.classes
    folder = open_labelled_folder(data / "camvid" / "val", classes)
    samples = (folder[index] for index in range(0, len(folder), _EVERY))
    return Figure("share", evaluate(session, samples, classes).miou)


def _map() -> Image:
    """A class map of eleven stripes."""
    rows = np.arange(360) * 11 // 360
    return np.repeat(rows[:, None], 480, axis=1).astype(np.uint8)


def _decode(clip: Path) -> int:
    frames = 0
    with open_source(str(clip)) as source:
        while source.read() is not None:
            frames += 1
    return frames


def _encode(drawn: Image, folder: Path) -> int:
    classes = _map()
    [sink] = open_sinks([str(folder / "encoded.mp4")], SinkOptions(fps=25.0, force=True))
    with sink:
        for index in range(_CLIP_FRAMES):
            frame = Frame(drawn, index, 0.0, f"{index:06d}")
            sink.write(Result(frame, classes, 0.0, overlay=drawn))
    return _CLIP_FRAMES


#: Frames that are handed through a stream without an engine: each takes a tenth of a millisecond.
_HANDED = 400


class _Pictures(Source):
    """One picture again and again."""

    def __init__(self, image: Image) -> None:
        super().__init__("pictures")
        self._image = image
        self._next = 0

    def _read(self) -> Frame | None:
        if self._next == _HANDED:
            return None
        index, self._next = self._next, self._next + 1
        return Frame(self._image, index, time.monotonic(), f"{index:06d}")


def _hand_over(image: Image) -> int:
    run(NullSession(), _Pictures(image), [NoneSink()])
    return _HANDED


def _reference() -> partial[object]:
    """A fixed convolution through OpenCV."""
    image = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), dtype=np.uint8)
    kernel = np.outer(np.hanning(7), np.hanning(7)).astype(np.float32)
    return partial(cv2.filter2D, image, -1, kernel / kernel.sum())
