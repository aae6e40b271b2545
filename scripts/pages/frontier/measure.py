"""Timing of all networks with weights, and of other tools, in turn on one frame."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.competitors import eager, in_onnx_runtime, in_openvino, plain_export
from calibration.scenes.synthetic import SyntheticDrive
from calibration.table import load_table
from models.atomic import sha256_of
from models.registry import MODELS
from models.spec import ModelSpec
from models.speeds import OURS, Speed, Speeds
from models.weights import registered_table, registered_weights, weights_card
from pipeline.build.build import build
from pipeline.build.options import BuildOptions
from pipeline.engine.manifest import load_engine
from pipeline.runtimes.registry import open_session

log = logging.getLogger("scripts.pages.frontier")

#: Input sizes, width and height; the middle one is registered.
SIZES = ((320, 240), (480, 360), (640, 480))
#: Networks that are also timed in other sizes and with other tools.
SHOWN = ("deeplab_v3plus_lite", "segnet_lite", "pspnet_cut5")

Frame = NDArray[np.uint8]


class Way(NamedTuple):
    """One thing to time: its description, its frame, and how to run it."""

    speed: Speed
    frame: Frame
    run: Callable[[Frame], object]


def prepare(folder: Path, camvid: Path | None) -> None:
    """Build the engines that :func:`measure` times; the machine may be busy."""
    with ExitStack() as stack:
        for way in _ours(folder, camvid, stack):
            way.run(way.frame)


def measure(folder: Path, machine: str, rounds: int, camvid: Path | None) -> Speeds:
    """Build everything, then time all in turn.

    Args:
        folder: for engines; existing ones are used.
        machine: its name.
        rounds: turns of each.
        camvid: with ``train`` and ``val``, for sizes without a registered table.
    """
    with ExitStack() as stack:
        ways = [*_ours(folder, camvid, stack), *_others(folder)]
        times: list[list[float]] = [[] for _ in ways]
        for _ in range(3):
            for way in ways:
                way.run(way.frame)
        for first in range(rounds):
            log.info("round %d of %d", first + 1, rounds)
            for offset in range(len(ways)):
                place = (first + offset) % len(ways)
                start = time.perf_counter()
                ways[place].run(ways[place].frame)
                times[place].append((time.perf_counter() - start) * 1e3)
    rows = tuple(
        replace(way.speed, milliseconds=round(statistics.median(taken), 3))
        for way, taken in zip(ways, times, strict=True)
    )
    return Speeds(machine, date.today().isoformat(), rounds, rows)


def _ours(folder: Path, camvid: Path | None, stack: ExitStack) -> Iterator[Way]:
    for spec in MODELS.values():
        if registered_weights(spec.name) is None:
            continue
        sizes = SIZES if camvid is not None and spec.name in SHOWN else ()
        registered = (spec.input.width, spec.input.height)
        for size in dict.fromkeys((registered, *sizes)):
            for precision in ("int8", "fp32"):
                yield _engine(spec, size, precision, folder, camvid, stack)


def _engine(
    spec: ModelSpec,
    size: tuple[int, int],
    precision: str,
    folder: Path,
    camvid: Path | None,
    stack: ExitStack,
) -> Way:
    options = BuildOptions(
        spec.name, precision=precision, output=folder, name=f"{spec.name}-{size[0]}"
    )
    if size != (spec.input.width, spec.input.height):
        assert camvid is not None
        ranges = camvid / "train" if precision == "int8" else None
        options = replace(options, size=size, calibration=ranges, data=camvid / "val")
    built = [load_engine(path) for path in folder.glob(f"{options.name}-*-{precision}*.xml")]
    weights = registered_weights(spec.name)
    assert weights is not None
    engine = next((one for one in built if one.manifest.weights.sha256 == sha256_of(weights)), None)
    if engine is None:
        log.info("building %s, %s, %dx%d", spec.name, precision, *size)
        engine = build(replace(options, force=True), lambda *_: None)
    if options.data is None:
        miou = _registered_miou(spec.name, precision)
    else:
        assert engine.manifest.accuracy is not None
        miou = engine.manifest.accuracy["miou"]
    session = stack.enter_context(open_session(engine))
    speed = Speed(spec.name, OURS, precision, *size, round(miou, 4), 0.0)

    def run(frame: Frame) -> object:
        return session.run(frame[None])

    return Way(speed, _frame(size), run)


def _registered_miou(name: str, precision: str) -> float:
    if precision == "int8":
        return load_table(registered_table(name)).measured["judged"]["miou"]
    card = weights_card(name)
    assert card is not None
    return card["val"]["miou"]


def _others(folder: Path) -> Iterator[Way]:
    """Alternatives to this project, with the same weights and so the same accuracy."""
    for name in SHOWN:
        spec = MODELS[name]
        if registered_weights(name) is None:
            continue
        size = (spec.input.width, spec.input.height)
        path, given = plain_export(name, folder)
        tools = {
            "PyTorch, eager": eager(name),
            "ONNX Runtime": in_onnx_runtime(path, given),
            "OpenVINO, plain": in_openvino(path, given, INFERENCE_PRECISION_HINT="f32"),
        }
        for tool, run in tools.items():
            speed = Speed(name, tool, "fp32", *size, round(_registered_miou(name, "fp32"), 4), 0.0)
            yield Way(speed, _frame(size), run)


def _frame(size: tuple[int, int]) -> Frame:
    return SyntheticDrive(*size).frame(0)[0]
