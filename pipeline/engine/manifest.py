"""An engine on disk: plain engine files and a JSON manifest beside them that tells the truth.

``NAME.engine`` (TensorRT) or ``NAME.xml`` + ``NAME.bin`` (OpenVINO) stay loadable by the runtime's
own tools; ``NAME.json`` says what they are. The manifest is written last, so an engine without one
was never finished, and loading compares what the manifest says with what lies there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from models.atomic import atomic_path
from models.classes import ClassSet
from models.spec import InputSpec
from pipeline.engine.files import EngineFile as EngineFile
from pipeline.engine.files import check_name as check_name
from pipeline.engine.files import compare, verify_file
from pipeline.engine.files import describe_file as describe_file
from pipeline.errors import EngineError, OutputError

#: Raised when a key changes its meaning; engines of another format are refused.
FORMAT_VERSION = 1

_KIND = "roadseg-engine"
#: A manifest in a portable bundle: its files are no engine yet (see ``pipeline.build.bundle``).
BUNDLE = "roadseg-bundle"


@dataclass(frozen=True)
class LayerPrecisions:
    """Precision of every convolution, as read back from what was built.

    Attributes:
        source: ``engine`` when the finished engine was asked (what is executed), ``builder`` when
            the builder listed what it made (as good), ``network`` when only the network before
            serialisation could be asked (what is planned).
        convolutions: layer name -> ``int8``, ``fp16``, ``bf16`` or ``fp32``.
        kernels: that one run launches, where the builder listed them.
    """

    source: str
    convolutions: Mapping[str, str]
    kernels: int | None = None

    @property
    def known(self) -> bool:
        """Whether they are what is executed, not only what was planned."""
        return self.source in {"engine", "builder"}

    def counts(self) -> dict[str, int]:
        """Convolutions per precision; the three that users ask for are always present."""
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
        weights: ``name`` and ``sha256`` of the weights.
        classes: names, palette and void value.
        input: preprocessing inside the engine; its size is the class map's.
        frames: what may be fed: batch, smallest and largest height and width.
        precision: the precision asked for.
        layers: precision of each convolution, read back after the build.
        runtime, runtime_version: who built it and runs it.
        built_on: ``os``, ``machine``, and where a GPU took part ``gpu`` and ``driver``.
        targets: GPU architectures such as ``sm86``, or ``sm80+`` for that one and all later ones;
            empty on a CPU.
        files: of the engine, in loading order.
        calibration: fingerprint of INT8 calibration, None without.
        accuracy: measured at build; ``parity`` with PyTorch, ``miou`` where labels were given.
        latency_ms: measured at build on the machine that built, None where it cannot run.
        high_precision: what was kept in FP32 in an FP16 graph, and why.
        settings: whatever else invalidates the engine when it changes.
        warnings: what a user should know before relying on it.
    """

    name: str
    model: str
    variant: Mapping[str, Any]
    weights: Mapping[str, Any]
    classes: ClassSet
    input: InputSpec
    frames: Mapping[str, Any]
    precision: str
    layers: LayerPrecisions
    runtime: str
    runtime_version: str
    targets: tuple[str, ...]
    files: tuple[EngineFile, ...]
    calibration: Mapping[str, Any] | None = None
    accuracy: Mapping[str, Any] | None = None
    latency_ms: Mapping[str, float] | None = None
    built_on: Mapping[str, str] = field(default_factory=dict)
    high_precision: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def to_json(self, kind: str = _KIND) -> dict[str, Any]:
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
        """Return the bytes of one of its files, which are those that the manifest names.

        A runtime that is given these and no path computes with what was verified, whatever is
        copied over the file meanwhile or later.

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
    return read_verified(manifest_path, _KIND)


def read_manifest(manifest_path: Path, kind: str = _KIND) -> Manifest:
    """Read a manifest of ``kind``; the files that it names may be gone.

    Raises:
        EngineError: damaged, or of another kind or format; the field is named.
    """
    return _parse(_read_document(manifest_path), manifest_path, kind)


def read_verified(manifest_path: Path, kind: str) -> Engine:
    """Read a manifest of ``kind``, and verify the files that it names.

    Raises:
        EngineError: damaged, or of another kind or format; the field or the file is named.
    """
    manifest = read_manifest(manifest_path, kind)
    for file in manifest.files:
        verify_file(manifest_path.parent / file.name, file)
    return Engine(manifest, manifest_path.parent)


@dataclass(frozen=True)
class Origin:
    """What makes an engine a newer build of another: the same weights and classes.

    Attributes:
        weights: name of the weights, for people.
        sha256: of the weights; None for random ones.
        classes: names, in order.
    """

    weights: str
    sha256: str | None
    classes: tuple[str, ...]

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Origin:
        """Read it from a manifest; what is missing matches nothing."""
        weights, classes = document.get("weights") or {}, document.get("classes") or {}
        return cls(
            str(weights.get("name")), weights.get("sha256"), tuple(classes.get("names") or ())
        )

    def same_as(self, other: Origin) -> bool:
        """Whether weights and classes are the same, whatever the weights are called."""
        return (self.sha256, self.classes) == (other.sha256, other.classes)


def check_replaceable(
    folder: Path, name: str, suffixes: tuple[str, ...], force: bool, origin: Origin | None = None
) -> None:
    """Refuse to replace files that are no older build of the same engine, unless ``force``.

    Args:
        folder: of the engine.
        name: stem of its files.
        suffixes: of its files beside the manifest.
        force: the user wants it.
        origin: of the new engine; None to replace any engine of ours.

    Raises:
        OutputError: files that no manifest of ours claims, or another network's engine.
    """
    present = [folder / f"{name}{suffix}" for suffix in (*suffixes, ".json")]
    present = [path for path in present if path.exists()]
    if not present or force:
        return
    manifest = folder / f"{name}.json"
    if manifest.exists():
        try:
            document = _read_document(manifest)
        except EngineError:
            document = {}  # a damaged or foreign .json: not ours to replace silently
        if document.get("kind") == _KIND:
            _check_origin(manifest, Origin.read(document), origin)
            return
    raise OutputError(
        f"{present[0]} is there already and no manifest of this project claims it; "
        "pass --force to replace it or --output to write elsewhere"
    )


def _check_origin(manifest: Path, old: Origin, new: Origin | None) -> None:
    if new is None or new.same_as(old):
        return
    differs = (
        f"{len(old.classes)} classes ({', '.join(old.classes[:3])}, ...)"
        if old.classes != new.classes
        else f"the weights {old.weights} ({str(old.sha256)[:8]})"
    )
    raise OutputError(
        f"{manifest} is of an engine with {differs}, the new one has {len(new.classes)} classes "
        f"and the weights {new.weights} ({str(new.sha256)[:8]}); give it another name with --name "
        "or another folder with --output, or replace the old one with --force"
    )


def _read_document(path: Path) -> dict[str, Any]:
    if path.exists() and not path.is_file():  # reading a pipe would wait for its writer
        raise EngineError(
            f"manifest {path} is no regular file, expected one that 'build' wrote; check the path"
        )
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
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


def _parse(document: dict[str, Any], path: Path, kind: str) -> Manifest:
    if document.get("kind") != kind or document.get("format_version") != FORMAT_VERSION:
        raise EngineError(
            f"manifest {path} is {document.get('kind')!r} format {document.get('format_version')}, "
            f"expected {kind!r} format {FORMAT_VERSION}; build the engine again"
        )
    fields = {k: v for k, v in document.items() if k not in {"kind", "format_version"}}
    try:
        classes, layers, given = fields["classes"], fields["layers"], fields["input"]
        fields["classes"] = ClassSet(
            tuple(classes["names"]), tuple(map(tuple, classes["palette"])), classes["void"]
        )
        fields["layers"] = LayerPrecisions(
            layers["source"], layers["convolutions"], layers.get("kernels")
        )
        fields["input"] = InputSpec(
            **{**given, "mean": tuple(given["mean"]), "std": tuple(given["std"])}
        )
        fields["files"] = tuple(EngineFile(**file) for file in fields["files"])
        fields["targets"], fields["warnings"] = tuple(fields["targets"]), tuple(fields["warnings"])
        manifest = Manifest(**fields)
    except (KeyError, TypeError, ValueError) as error:
        raise EngineError(
            f"manifest {path} misses or misstates a field ({type(error).__name__}: {error}); it is "
            "damaged, build the engine again"
        ) from error
    for name in (manifest.name, *(file.name for file in manifest.files)):
        check_name(name, path)
    return manifest
