"""An engine on disk: plain engine files, and beside them a JSON manifest that is checked.

``NAME.engine`` (TensorRT) or ``NAME.xml`` + ``NAME.bin`` (OpenVINO) stay loadable by the runtime's
own tools; ``NAME.json`` says what they are. The manifest is written last, so an engine without one
was never finished; loading compares the files with the manifest.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from models.atomic import atomic_path
from models.bounded import read_bytes
from models.classes import ClassSet, check_classes
from models.spec import LARGEST_SIZE, InputSpec, LoadedWeights
from models.typed import convert_all, parse_json
from pipeline.engine.files import EngineFile as EngineFile
from pipeline.engine.files import check_name as check_name
from pipeline.engine.files import compare, verify_file
from pipeline.engine.files import describe_file as describe_file
from pipeline.engine.records import Accuracy, Calibration, FrameRange
from pipeline.errors import EngineError

#: Increased when a key changes its meaning; engines of another format are refused.
FORMAT_VERSION = 1

#: The kind of a manifest beside an engine.
ENGINE = "roadseg-engine"
#: Most bytes of a manifest; one with thousands of layers has half a megabyte.
MOST_BYTES = 16 << 20
#: The kind of a manifest in a portable bundle (``pipeline.build.bundle``), whose file is ONNX.
BUNDLE = "roadseg-bundle"


@dataclass(frozen=True)
class LayerPrecisions:
    """Precision of every convolution, as read back from what was built.

    Attributes:
        source: where they were read: from the finished ``engine``; from the list of layers that the
            ``builder`` made, which is as reliable; or from the ``network`` before serialisation,
            which says only what was planned.
        convolutions: layer name -> ``int8``, ``fp16``, ``bf16`` or ``fp32``.
        kernels: number that one run launches, where the builder lists them.
    """

    source: str
    convolutions: Mapping[str, str]
    kernels: int | None = None

    @property
    def known(self) -> bool:
        """Whether these precisions are executed, not only planned."""
        return self.source in {"engine", "builder"}

    def counts(self) -> dict[str, int]:
        """Number of convolutions per precision; INT8, FP16 and FP32 are always present."""
        counts = {"int8": 0, "fp16": 0, "fp32": 0}
        for precision in self.convolutions.values():
            counts[precision] = counts.get(precision, 0) + 1
        return counts


@dataclass(frozen=True)
class Manifest:
    """What an engine is.

    Attributes:
        name: stem of the engine's files.
        model, variant: registry row that it was built from.
        weights: their name and hash.
        classes: names, palette and void value.
        input: preprocessing inside the engine; its size is the class map's.
        frames: frames that it takes.
        precision: the precision asked for.
        layers: precision of each convolution, read back after the build.
        runtime, runtime_version: that built it.
        built_on: ``os``, ``machine``, and for engines built on a GPU ``gpu`` and ``driver``.
        targets: GPU architectures such as ``sm86``, or ``sm80+`` for that one and all later ones;
            empty on a CPU.
        files: of the engine, in loading order.
        calibration: of INT8; None in other precisions.
        accuracy: measured at build.
        latency_ms: measured at build on the building machine; None where it cannot run the engine.
        high_precision: operations that stay in FP32 in an FP16 graph -> why.
        settings: everything else that makes the engine outdated when it changes.
        warnings: what a user should know before relying on it.
    """

    name: str
    model: str
    variant: Mapping[str, Any]
    weights: LoadedWeights
    classes: ClassSet
    input: InputSpec
    frames: FrameRange
    precision: str
    layers: LayerPrecisions
    runtime: str
    runtime_version: str
    targets: tuple[str, ...]
    files: tuple[EngineFile, ...]
    calibration: Calibration | None = None
    accuracy: Accuracy | None = None
    latency_ms: Mapping[str, float] | None = None
    built_on: Mapping[str, str] = field(default_factory=dict)
    high_precision: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def to_json(self, kind: str = ENGINE) -> dict[str, Any]:
        """Return the manifest as plain JSON values, ``layers`` with its counts."""
        document = {"kind": kind, "format_version": FORMAT_VERSION, **asdict(self)}
        document["layers"]["counts"] = self.layers.counts()
        if self.layers.kernels is None:
            del document["layers"]["kernels"]
        return document


@dataclass(frozen=True)
class Engine:
    """A verified engine: its manifest and the folder of its files."""

    manifest: Manifest
    folder: Path

    @property
    def path(self) -> Path:
        """The file that the runtime opens."""
        return self.folder / self.manifest.files[0].name

    def read(self, place: int = 0) -> bytes:
        """Return the bytes of one of its files, verified against the manifest.

        A runtime that is given these bytes, not the path, runs what was verified even if the file
        is replaced meanwhile.

        Raises:
            EngineError: the file was replaced, cut or removed since the engine was verified.
        """
        file = self.manifest.files[place]
        path = self.folder / file.name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise EngineError(
                f"engine file {path} cannot be read ({error.strerror}); build the engine again"
            ) from error
        compare(path, file, len(content), hashlib.sha256(content).hexdigest)
        return content


def write_manifest(folder: Path, manifest: Manifest) -> Path:
    """Write ``NAME.json`` atomically; the engine's files must lie in ``folder`` already."""
    path = folder / f"{manifest.name}.json"
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(manifest.to_json(), indent=2) + "\n", encoding="utf-8")
    return path


def load_engine(path: Path) -> Engine:
    """Read and verify an engine, given its manifest or any of its files.

    Raises:
        EngineError: missing, damaged, unfinished, or of another format; the field is named.
    """
    manifest_path = path.with_suffix(".json")
    if not path.exists() and not manifest_path.exists():
        raise EngineError(
            f"engine {path} not found, expected a file that 'build' wrote; run "
            "'roadseg build MODEL' or check the path"
        )
    if not manifest_path.exists():
        raise EngineError(
            f"engine {path} has no manifest {manifest_path.name} beside it; the build did not "
            "finish or the file was moved alone: build it again"
        )
    return read_verified(manifest_path, ENGINE)


def read_verified(manifest_path: Path, kind: str) -> Engine:
    """Read a manifest of ``kind``, and verify its files.

    Raises:
        EngineError: damaged, or of another kind or format; the field or the file is named.
    """
    manifest = read_manifest(manifest_path, kind)
    for file in manifest.files:
        verify_file(manifest_path.parent / file.name, file)
    return Engine(manifest, manifest_path.parent)


def read_manifest(path: Path, kind: str = ENGINE) -> Manifest:
    """Read and check a manifest of ``kind``, but not its files.

    Raises:
        EngineError: damaged, or of another kind or format; the field is named.
    """
    document = _read_document(path)
    if document.get("kind") != kind or document.get("format_version") != FORMAT_VERSION:
        raise EngineError(
            f"manifest {path} is {_short(document.get('kind'))} format "
            f"{_short(document.get('format_version'))}, "
            f"expected {kind!r} format {FORMAT_VERSION}; build the engine again"
        )
    try:
        manifest = parse_manifest(document)
    except ValueError as error:
        raise EngineError(
            f"manifest {path} has a missing or wrong field ({error}); it is damaged, build the "
            "engine again"
        ) from error
    for name in (manifest.name, *(file.name for file in manifest.files)):
        check_name(name, path)
    return manifest


def parse_manifest(document: Mapping[str, Any]) -> Manifest:
    """Convert the JSON document of a manifest.

    Raises:
        ValueError: a field is missing, unknown or has an impossible value; it is named.
    """
    manifest = convert_all(document, Manifest, ignored=("kind", "format_version"))
    check_classes(manifest.classes)
    given = manifest.input
    if not (1 <= given.width <= LARGEST_SIZE and 1 <= given.height <= LARGEST_SIZE):
        raise ValueError(f"input is {given.width}x{given.height}, sides are 1 to {LARGEST_SIZE}")
    if not all(map(math.isfinite, (*given.mean, *given.std))) or min(given.std) <= 0:
        raise ValueError(f"mean {given.mean} and std {given.std} are not finite, or std is not > 0")
    if not manifest.files:
        raise ValueError("files is empty")
    return manifest


def _short(value: object) -> str:
    """Write a value of any type and length for an error message."""
    text = repr(value) if isinstance(value, str | int | float | None) else type(value).__name__
    return text if len(text) <= 60 else f"{text[:57]}..."


def _read_document(path: Path) -> dict[str, Any]:
    if path.exists() and not path.is_file():  # reading a pipe would wait for its writer
        raise EngineError(
            f"manifest {path} is no regular file, expected one that 'build' wrote; check the path"
        )
    try:
        document = parse_json(read_bytes(path, MOST_BYTES))
    except (OSError, ValueError) as error:
        raise EngineError(
            f"manifest {path} cannot be read ({error}); it is damaged, build the engine again"
        ) from error
    if not isinstance(document, dict):
        raise EngineError(
            f"manifest {path} holds a {type(document).__name__}, expected an object; "
            "build the engine again"
        )
    return document
