"""Runs the program over the stand-in driver many times, each in a process of its own.

    python forked_runs.py FOLDER COMMAND... < plans > results

``plans``: one per line, the failure to inject: call, error, and 1 if the call's work fails instead
of the call. ``results``: one JSON line each. Everything is imported once, and a process is forked
for each plan before anything has called the driver; it exits normally, with its interpreter.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from hashlib import sha256
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from planned_failures import Plan, Result
from stand_in_driver import StandInMachine, stand_in
from tensorrt_double import End, Run, TensorRTDouble

import pipeline.cli.run
import pipeline.runtimes.tensorrt.cuda.driver
import pipeline.runtimes.tensorrt.session
import pipeline.stream.runner
import pipeline.stream.sinks.overlays
import pipeline.stream.sources.pictures  # noqa: F401  # imported for the forked processes
from pipeline.cli import console


class Brightest:
    """An engine in NumPy: the class of a pixel is its brightest colour, by the double's rules."""

    def __init__(self, machine: StandInMachine, size: tuple[int, int]) -> None:
        self._machine = machine
        self._size = size
        self.ends = (End("frames", "uint8", (-1, -1, -1, 3)), End("classes", "uint8", (-1, *size)))

    def begin(self, run: Run) -> None:
        self._machine.put(run.stream, lambda: self._run(run))

    def _run(self, run: Run) -> None:
        frames = self._machine.bytes_at(run.source, int(np.prod(run.shape))).reshape(run.shape)
        rows, columns = (
            np.arange(size) * given // size
            for size, given in zip(self._size, run.shape[1:], strict=False)
        )
        found = frames[:, rows][:, :, columns].argmax(axis=3).astype(np.uint8)
        self._machine.bytes_at(run.target, found.size)[:] = found.ravel()


class Machine(StandInMachine):
    def load(self, serialized: bytes) -> Brightest:
        """Take an engine: the height and width of its class maps, as text."""
        height, width = map(int, serialized.split())
        return Brightest(self, (height, width))


def _run(plan: Plan, folder: Path, command: list[str]) -> int:
    """Fork; the parent gets the process, the child never returns."""
    child = os.fork()
    if child:
        return child
    os.environ["STAND_IN_REPORT"] = str(folder / f"report-{os.getpid()}")
    errors = os.open(folder / f"errors-{os.getpid()}", os.O_WRONLY | os.O_CREAT, 0o600)
    os.dup2(errors, 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    driver = stand_in()
    assert driver is not None
    driver.fail(plan.place, plan.error, plan.late)
    trt = TensorRTDouble(Machine(driver))
    trt.__spec__ = ModuleSpec("tensorrt", None)  # type: ignore[attr-defined]
    sys.modules["tensorrt"] = trt  # type: ignore[assignment]
    names = {name: str(folder / f"{name}-{os.getpid()}") for name in ("OVERLAYS", "MASKS")}
    for name, path in names.items():
        command = [word.replace(name, path) for word in command]
    sys.argv = ["roadseg", *command]
    sys.exit(console())


def _finished(plan: Plan, child: int, folder: Path) -> Result:
    _, code = os.waitpid(child, 0)
    said = (folder / f"errors-{child}").read_text(encoding="utf-8", errors="replace")
    status = os.waitstatus_to_exitcode(code)
    found: dict[str, Any] = {"complaints": []}
    report = folder / f"report-{child}"
    for line in report.read_text(encoding="utf-8").splitlines() if report.exists() else ():
        name, _, value = line.partition(" ")
        if name == "complaint":
            found["complaints"].append(value)
        else:
            found[name] = int(value) if name in {"calls", "lost"} else value
    masks = sha256()
    for path in sorted((folder / f"MASKS-{child}").rglob("*.png")):
        masks.update(path.name.encode() + path.read_bytes())
    return Result(plan, status, tuple(said.splitlines()), masks=masks.hexdigest(), **found)


def _plans() -> Iterator[Plan]:
    for line in sys.stdin:
        place, error, late = map(int, line.split())
        yield Plan(place, error, bool(late))


def _main() -> None:
    folder, command = Path(sys.argv[1]), sys.argv[2:]
    cv2.setNumThreads(1)
    most = os.cpu_count() or 1
    running: list[tuple[Plan, int]] = []

    def end_first() -> None:
        plan, child = running.pop(0)
        sys.stdout.write(json.dumps(asdict(_finished(plan, child, folder))) + "\n")

    for plan in _plans():
        if len(running) == most:
            end_first()
        running.append((plan, _run(plan, folder, command)))
    while running:
        end_first()


if __name__ == "__main__":
    _main()
