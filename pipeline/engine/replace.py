"""Which files a new engine may take the place of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from models.spec import LoadedWeights
from pipeline.engine.manifest import Manifest, read_manifest
from pipeline.errors import EngineError, OutputError


@dataclass(frozen=True)
class Origin:
    """What makes an engine a newer build of another: the same weights and classes.

    Attributes:
        weights: whose name is for people.
        classes: names, in order.
    """

    weights: LoadedWeights
    classes: tuple[str, ...]

    @classmethod
    def of(cls, manifest: Manifest) -> Origin:
        """Take it from a manifest."""
        return cls(manifest.weights, manifest.classes.names)

    def same_as(self, other: Origin) -> bool:
        """Whether weights and classes are the same, whatever the weights are called."""
        return (self.weights.sha256, self.classes) == (other.weights.sha256, other.classes)


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
            old = read_manifest(manifest)
        except EngineError:
            pass  # a damaged or foreign .json: not ours to replace silently
        else:
            _check_origin(manifest, Origin.of(old), origin)
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
        else f"the weights {old.weights.name} ({str(old.weights.sha256)[:8]})"
    )
    raise OutputError(
        f"{manifest} is of an engine with {differs}, the new one has {len(new.classes)} classes "
        f"and the weights {new.weights.name} ({str(new.weights.sha256)[:8]}); give it another name "
        "with --name or another folder with --output, or replace the old one with --force"
    )
