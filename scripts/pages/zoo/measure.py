"""Build networks at full width on both runtimes, and measure the result."""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from models.atomic import atomic_path
from models.weights import registered_weights
from pipeline.build.build import build
from pipeline.build.options import BuildOptions
from pipeline.runtimes.openvino.core import processor_name

#: What ``scripts/build_zoo.sh`` measured last.
RESULTS = Path(__file__).parents[3] / "benchmarks" / "zoo.json"

#: Runtime, precision and targets of the two builds of each network.
BUILDS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("openvino", "fp32", ()),
    ("tensorrt-rtx", "fp16", ("sm86",)),
)

Results = dict[str, Any]


def measure(name: str) -> dict[str, Any]:
    """Build network ``name`` for every row of :data:`BUILDS` at its own size.

    Networks without registered weights are built with random ones.

    Returns:
        ``machine`` that built it, ``weights``, and per runtime: ``precision``, ``convolutions``
        (count by precision), their ``source``, ``bytes``, ``seconds``, ``agreement`` with PyTorch
        (share of pixels of the worst frame; None where the engine cannot run here).

    Raises:
        RoadsegError: a build failed.
    """
    weights = name if registered_weights(name) else "none"
    row: dict[str, Any] = {"machine": this_machine(), "weights": weights}
    for runtime, precision, targets in BUILDS:
        with tempfile.TemporaryDirectory() as folder:
            start = time.monotonic()
            options = BuildOptions(
                name,
                runtime,
                precision,
                weights=weights,
                targets=targets,
                output=Path(folder),
            )
            manifest = build(options, lambda what, share: None).manifest
            seconds = time.monotonic() - start
        parity = (manifest.accuracy or {}).get("parity", {})
        row[runtime] = {
            "version": manifest.runtime_version,
            "precision": manifest.precision,
            "targets": list(targets),
            "convolutions": {k: n for k, n in manifest.layers.counts().items() if n},
            "source": manifest.layers.source,
            "bytes": sum(file.bytes for file in manifest.files),
            "seconds": round(seconds, 1),
            "agreement": parity.get("pixel_agreement"),
        }
    return row


def this_machine() -> str:
    """Name the processor and its cores."""
    return f"{processor_name()}, {os.cpu_count()} cores"


def read_results(path: Path = RESULTS) -> Results:
    """Return the measurements, ``networks`` by name; empty without any."""
    if not path.exists():
        return {"networks": {}}
    results: Results = json.loads(path.read_text(encoding="utf-8"))
    return results


def write_results(results: Results, path: Path = RESULTS) -> None:
    """Write measurements as JSON that is readable in a diff."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", "utf-8")
