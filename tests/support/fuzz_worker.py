"""A forked worker: reads damaged files one by one, within limits, and reports the outcome."""

from __future__ import annotations

import os
import pickle
import random
import resource
import shutil
import signal
import sys
import tempfile
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from fuzz_subjects import SUBJECTS, Subject, lay_out

from models.errors import RoadsegError
from pipeline.errors import printable

#: Processor time for one file.
_SECONDS = 10
_MEMORY = 1 << 30
_LONGEST_LINE = 2000


@dataclass(frozen=True)
class Fault:
    """What went wrong with a file; the seed reproduces it."""

    subject: str
    seed: int
    what: str


class _Hang(BaseException):
    """A file took too long."""


def _hang(_number: int, _frame: FrameType | None) -> None:
    raise _Hang


def run_cases(name: str, seeds: range, folder: Path) -> list[Fault]:
    """Read damaged files of one format in forked workers.

    If a worker dies that may, the next one continues after the file that killed it.

    Args:
        name: row of the table of subjects.
        seeds: one per file.
        folder: empty, for scratch.
    """
    faults: list[Fault] = []
    begin = seeds.start
    while begin < seeds.stop:
        reached, found, status = _fork(name, range(begin, seeds.stop), folder)
        faults += found
        if reached == seeds.stop:
            break
        if not SUBJECTS[name].may_die:
            faults.append(Fault(name, reached, f"the worker died, status {status}"))
        begin = reached + 1
    return faults


def _fork(name: str, seeds: range, folder: Path) -> tuple[int, list[Fault], int]:
    """Run a worker; return the unfinished seed, its faults, and how it ended."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            with os.fdopen(writer, "wb") as told:
                _work(SUBJECTS[name], name, seeds, folder, told)
        except BaseException:  # a fault of the worker, not of what it tests
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    os.close(writer)
    reached, faults = seeds.start, []
    with os.fdopen(reader, "rb") as told:
        while True:
            try:
                fault = pickle.load(told)
            except EOFError:
                break
            if fault is not None:
                faults.append(fault)
            reached += 1
    return reached, faults, os.waitpid(child, 0)[1]


def _work(subject: Subject, name: str, seeds: range, folder: Path, told: Any) -> None:
    written: set[str] = set()
    sys.addaudithook(lambda event, given: _watch(event, given, written))
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    tempfile.tempdir = str(scratch)
    os.chdir(scratch)
    whole = subject.make()
    _limit()
    for seed in seeds:
        case = folder / "case"
        shutil.rmtree(case, ignore_errors=True)
        case.mkdir()
        content = subject.damage(whole, random.Random(f"{name} {seed}"))
        path = lay_out(subject, content, case)
        written.clear()
        what = _read(subject, path) or _left_behind(written, folder, scratch)
        for left in scratch.glob("roadseg-*"):
            what = what or f"{left.name} was left behind"
        pickle.dump(None if what is None else Fault(name, seed, what), told)
        told.flush()


def _limit() -> None:
    used = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (used + _MEMORY, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    signal.signal(signal.SIGPROF, _hang)


def _read(subject: Subject, path: Path) -> str | None:
    """Read a file; return what is wrong with its refusal, None if nothing."""
    signal.setitimer(signal.ITIMER_PROF, _SECONDS)
    try:
        subject.read(path)
    except RoadsegError as error:
        text = printable(" ".join(str(error).split()))
        if len(text) > _LONGEST_LINE:
            return f"a line of {len(text)} characters: {text[:100]}"
    except _Hang:
        return f"it took more than {_SECONDS} s"
    except BaseException:
        return traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return None


def _watch(event: str, given: tuple[Any, ...], written: set[str]) -> None:
    """Record what is opened for writing."""
    if event != "open" or not isinstance(given[0], str | bytes):
        return
    mode, flags = given[1], given[2]
    writes = bool(set(mode) & set("wax+")) if isinstance(mode, str) else bool(flags & 3)
    if writes:
        written.add(os.path.abspath(os.fsdecode(given[0])))


def _left_behind(written: set[str], folder: Path, scratch: Path) -> str | None:
    outside = [one for one in written if not one.startswith((f"{folder}/", "/dev/null"))]
    if outside:
        return f"it wrote {outside[0]}"
    partial = [one.name for one in (folder / "case").iterdir() if "partial" in one.name]
    return f"{partial[0]} is half written" if partial else None
