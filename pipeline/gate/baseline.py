"""Figures as they were, on disk: one JSON file per machine class, runtime, version and precision.

A time is kept as a multiple of a reference load that was measured in the same run through the same
runtime, so that a slower or busier machine moves both. What was recorded before stays in the file,
each with the reason why it was replaced: that is the history that the page draws.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from models.atomic import atomic_path
from pipeline.errors import BenchmarkError

#: Where baselines are committed.
FOLDER = Path(__file__).parents[2] / "benchmarks" / "baselines"

_KIND, _FORMAT = "roadseg-fps-baseline", 1

#: Kinds of figures -> unit, and the change for the worse that is allowed where repeated runs spread
#: less. ``time`` and ``bytes`` are judged by their relative growth, ``share`` by what it lost.
KINDS: Mapping[str, tuple[str, float]] = {
    "time": ("x reference", 0.15),
    "bytes": ("bytes", 0.05),
    "share": ("", 0.005),
}


@dataclass(frozen=True)
class Figure:
    """One measured value.

    Attributes:
        kind: key of :data:`KINDS`.
        value: multiple of the reference load, bytes, or share from 0 to 1.
        ms: of a time, its milliseconds on the machine and in the mood of that run; for people.
    """

    kind: str
    value: float
    ms: float | None = None


@dataclass(frozen=True)
class Expected:
    """A figure of a baseline: the measured one, its ``spread`` over runs, what may be lost."""

    figure: Figure
    spread: float
    limit: float


@dataclass(frozen=True)
class Subject:
    """What a file of figures is about; its parts name the file."""

    machine: str
    runtime: str
    version: str
    precision: str

    @property
    def file(self) -> str:
        """Name of the file."""
        version = re.match(r"[0-9.]*[0-9]", self.version)
        parts = (self.machine, self.runtime, version[0] if version else "0", self.precision)
        return f"{'-'.join(parts)}.json"


@dataclass(frozen=True)
class Record:
    """One recording: when, of which commit, why, and the values by name."""

    recorded: str
    commit: str
    reason: str
    values: Mapping[str, float]


@dataclass(frozen=True)
class Baseline:
    """What is expected on a machine of this class.

    Attributes:
        subject: names the file.
        figures: by name.
        history: recordings, the latest last; its values are those of ``figures``.
        unmeasured: name -> why it could not be recorded; named in every check, judged in none.
    """

    subject: Subject
    figures: Mapping[str, Expected]
    history: tuple[Record, ...]
    unmeasured: Mapping[str, str] = field(default_factory=dict)


def limit_of(kind: str, spread: float) -> float:
    """Loss that is believed: half as much again as repeated runs spread, the usual one at least."""
    return max(KINDS[kind][1], round(1.5 * spread, 3))


def read_baseline(folder: Path, subject: Subject) -> Baseline | None:
    """Read the baseline of a subject; None where nothing was recorded.

    Raises:
        BenchmarkError: the file is damaged.
    """
    path = folder / subject.file
    return read_file(path) if path.exists() else None


def read_file(path: Path) -> Baseline:
    """Read one file.

    Raises:
        BenchmarkError: it is none of ours, or damaged.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if (document["kind"], document["format"]) != (_KIND, _FORMAT):
            raise ValueError(f"{document['kind']} {document['format']}")
        figures = {
            name: Expected(
                Figure(given["kind"], given["value"], given.get("ms")),
                given["spread"],
                given["limit"],
            )
            for name, given in document["figures"].items()
        }
        history = tuple(Record(**record) for record in document["history"])
        unmeasured = {str(name): str(why) for name, why in document["unmeasured"].items()}
        return Baseline(Subject(**document["subject"]), figures, history, unmeasured)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BenchmarkError(
            f"baseline {path} cannot be read ({type(error).__name__}: {error}), expected what "
            "'scripts/check_fps.sh --update' writes; restore it from git or record it again"
        ) from error


def write_baseline(folder: Path, baseline: Baseline) -> Path:
    """Write a baseline as JSON that reads well in a diff."""
    document: dict[str, Any] = {
        "kind": _KIND,
        "format": _FORMAT,
        "subject": asdict(baseline.subject),
        "figures": {
            name: {
                **{key: value for key, value in asdict(one.figure).items() if value is not None},
                "spread": one.spread,
                "limit": one.limit,
            }
            for name, one in sorted(baseline.figures.items())
        },
        "unmeasured": dict(baseline.unmeasured),
        "history": [asdict(record) for record in baseline.history],
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / baseline.subject.file
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return path
