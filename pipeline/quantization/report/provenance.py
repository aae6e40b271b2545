"""Where an INT8 engine's weights, ranges and figures come from, as names and texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from calibration.table import CalibrationTable
from pipeline.engine.manifest import Manifest

_UNKNOWN = "not recorded"


def provenance(manifest: Manifest, table: CalibrationTable) -> Iterator[tuple[str, str]]:
    """Yield where weights, ranges, engine and figures come from; hashes are SHA-256."""
    measured_on = table.fingerprint
    variant = ", ".join(f"{name} {value}" for name, value in manifest.variant.items())
    yield "Network", f"{manifest.model} ({variant})" if variant else manifest.model
    yield "Weights", f"{manifest.weights.name}, {_hash(manifest.weights.sha256)}"
    yield "Preprocessing", _preprocessing(measured_on.get("preprocessing"))
    frames = measured_on.get("frame_count", _UNKNOWN)
    yield "Calibration frames", f"{frames} from {measured_on.get('source', _UNKNOWN)}"
    yield "Frames' fingerprint", _hash(measured_on.get("frames"))
    yield "Graph's fingerprint", _hash(measured_on.get("graph"))
    yield "Calibration table", f"{manifest.name}.calibration.json, method {table.method}"
    yield "Runtime", f"{manifest.runtime} {manifest.runtime_version}"
    if manifest.targets:
        yield "Targets", ", ".join(manifest.targets)
    yield from _measured(manifest)
    for file in manifest.files:
        yield "Engine file", f"{file.name}, {file.bytes:,} bytes, {_hash(file.sha256)}"
    for name, value in manifest.settings.items():
        yield f"Setting {name}", str(value)


def _measured(manifest: Manifest) -> Iterator[tuple[str, str]]:
    accuracy = manifest.accuracy or {}
    if "judged_on" in accuracy:
        yield "Judged on", str(accuracy["judged_on"])
    parity = accuracy.get("parity")
    if parity:
        share, frames = 100 * parity["pixel_agreement"], parity["frames"]
        reference = parity["reference"]
        yield "This engine", f"{share:.2f} % of pixels as {reference}, {frames} drawn frames"
    if manifest.latency_ms:
        times = ", ".join(f"{name} {value:.1f}" for name, value in manifest.latency_ms.items())
        yield "Latency, ms", times


def _preprocessing(given: Mapping[str, Any] | None) -> str:
    if not given:
        return _UNKNOWN
    size = f"{given.get('width')} x {given.get('height')}"
    return f"{size}, {given.get('order')}, mean {given.get('mean')}, std {given.get('std')}"


def _hash(digest: object) -> str:
    return _UNKNOWN if digest is None else str(digest)
