"""What the values of a manifest may be, beyond their types; who uses them need not ask again."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from dataclasses import fields as dataclass_fields
from typing import Any, Protocol, TypeVar

from models.classes import ClassSet, check_classes
from models.spec import LARGEST_SIZE, InputSpec
from models.typed import convert

_SHA256 = re.compile(r"[0-9a-f]{64}")
_LARGEST_BATCH = 1024
_Side = tuple[int, int]


class Stated(Protocol):
    """The fields of a manifest that are looked at here."""

    @property
    def classes(self) -> ClassSet:
        """Names, palette and void value."""

    @property
    def input(self) -> InputSpec:
        """Preprocessing."""

    @property
    def frames(self) -> Mapping[str, Any]:
        """What may be fed."""

    @property
    def weights(self) -> Mapping[str, Any]:
        """Name and hash."""

    @property
    def accuracy(self) -> Mapping[str, Any] | None:
        """Measured at build."""

    @property
    def calibration(self) -> Mapping[str, Any] | None:
        """Of INT8."""

    @property
    def files(self) -> Iterable[Any]:
        """Name, bytes and hash of each."""


@dataclass(frozen=True)
class _Frames:
    batch: int
    smallest: int
    largest: int
    batch_range: tuple[int, int, int] = (1, 1, 1)
    sizes: tuple[_Side, _Side, _Side] = ((1, 1), (1, 1), (1, 1))


@dataclass(frozen=True)
class _Weights:
    name: str
    sha256: str | None


@dataclass(frozen=True)
class _Agreement:
    pixel_agreement: float | None = None


@dataclass(frozen=True)
class _Accuracy:
    miou: float | None = None
    miou_fp32: float | None = None
    pixel_agreement: float | None = None
    parity: _Agreement = field(default_factory=_Agreement)
    fp16_graph: _Agreement = field(default_factory=_Agreement)


@dataclass(frozen=True)
class _Calibration:
    kept: dict[str, str] = field(default_factory=dict)


T = TypeVar("T", bound=Stated)


def checked(fields: Mapping[str, Any], kind: type[T]) -> T:
    """Make a manifest of what stands in its file.

    Raises:
        ValueError: a field is missing, unknown, or holds what no engine can have; it is named.
    """
    strange = sorted(fields.keys() - {one.name for one in dataclass_fields(kind)})  # type: ignore[arg-type]
    if strange:
        raise ValueError(f"no field is called {short(strange[0])}")
    manifest = convert(fields, kind)
    _check_values(manifest)
    return manifest


def short(value: object) -> str:
    """Write a value out of a file for an error, where it may be anything."""
    text = repr(value) if isinstance(value, str | int | float | None) else type(value).__name__
    return text if len(text) <= 60 else f"{text[:57]}..."


def _check_values(manifest: Stated) -> None:
    check_classes(manifest.classes)
    _check_input(manifest.input)
    _check_frames(convert(dict(manifest.frames), _Frames))
    convert(dict(manifest.weights), _Weights)
    convert(dict(manifest.accuracy or {}), _Accuracy)
    convert(dict(manifest.calibration or {}), _Calibration)
    if not manifest.files:
        raise ValueError("files is empty")
    for file in manifest.files:
        if file.bytes < 0 or not _SHA256.fullmatch(file.sha256):
            raise ValueError(f"the size or the SHA-256 of {file.name!r} is none")


def _check_input(given: InputSpec) -> None:
    if not (1 <= given.width <= LARGEST_SIZE and 1 <= given.height <= LARGEST_SIZE):
        raise ValueError(f"input is {given.width}x{given.height}, sides are 1 to {LARGEST_SIZE}")
    if not all(map(math.isfinite, (*given.mean, *given.std))) or min(given.std) <= 0:
        raise ValueError(f"mean {given.mean} and std {given.std} scale nothing")


def _check_frames(frames: _Frames) -> None:
    fewest, usual, most = frames.batch_range
    if not 1 <= fewest <= usual <= most <= _LARGEST_BATCH or not frames.batch >= 1:
        raise ValueError(f"batch_range is {frames.batch_range}")
    sides = [side for size in frames.sizes for side in size]
    if min(frames.smallest, frames.largest, *sides) < 1:
        raise ValueError(f"frames from {frames.smallest} to {frames.largest} pixels")
