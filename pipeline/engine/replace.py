"""Which files a new engine may replace."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from models.spec import LoadedWeights
from pipeline.engine.manifest import Manifest, read_manifest
from pipeline.errors import EngineError, OutputError


@dataclass(frozen=True)
class Origin:
    """The weights and classes of an engine; a newer build of it has the same.

    Attributes:
        weights: compared by their hash; the name is for messages.
        classes: names, in order.
    """

    weights: LoadedWeights
    classes: tuple[str, ...]

    @classmethod
    def of(cls, manifest: Manifest) -> Origin:
        return cls(manifest.weights, manifest.classes.names)

    def same_as(self, other: Origin) -> bool:
        return (self.weights.sha256, self.classes) == (other.weights.sha256, other.classes)


def check_replaceable(
    folder: Path, name: str, suffixes: tuple[str, ...], force: bool, origin: Origin
) -> None:
    """Check that files to be replaced are an older build of the same engine, unless ``force``.

    Args:
        folder: of the engine.
        name: stem of its files.
        suffixes: of its files beside the manifest.
        force: replace whatever is there.
        origin: of the new engine.

    Raises:
        OutputError: files without a manifest of ours, or an engine of other weights or classes.
    """
    present = [folder / f"{name}{suffix}" for suffix in (*suffixes, ".json")]
    present = [path for path in present if path.exists()]
    if not present or force:
        return
    manifest = folder / f"{name}.json"
    if manifest.exists():
        try:
            old = read_manifest(manifest)
        except EngineError:
            pass  # a damaged or foreign .json: not ours to replace silently
        else:
            _check_origin(manifest, Origin.of(old), origin)
            return
    raise OutputError(
        f"{present[0]} exists already and belongs to no manifest of this project; "
        "pass --force to replace it or --output to write elsewhere"
    )


def _check_origin(manifest: Path, old: Origin, new: Origin) -> None:
    if new.same_as(old):
        return
    differs = (
        f"{len(old.classes)} classes ({', '.join(old.classes[:3])}, ...)"
        if old.classes != new.classes
        else f"the weights {old.weights.name} ({str(old.weights.sha256)[:8]})"
    )
    raise OutputError(
        f"{manifest} belongs to an engine with {differs}, the new one has {len(new.classes)} "
        f"classes and the weights {new.weights.name} ({str(new.weights.sha256)[:8]}); give it "
        "another --name or another --output, or replace the old one with --force"
    )
