"""``export-triton``: an engine into the model repository of a Triton server."""

from __future__ import annotations

import argparse

from pipeline.cli.outcome import Outcome
from pipeline.engine.manifest import load_engine
from pipeline.runtimes.triton.export import ExportOptions, export_model


def run(options: argparse.Namespace) -> Outcome:
    """Write the model, and say how to use it."""
    engine = load_engine(options.engine)
    name = options.name or engine.manifest.name
    written = export_model(
        engine,
        ExportOptions(options.output, name, options.backend, options.instances, options.force),
    )
    lines = [f"wrote {written.folder} for Triton's backend {written.backend}"]
    if not written.checked:
        lines.append(
            "config.pbtxt was not checked: that needs tritonclient, which is not installed"
        )
    lines.append(f"when it is served: roadseg run triton://HOST:8001/{name}")
    document = {
        "folder": str(written.folder),
        "name": name,
        "backend": written.backend,
        "checked": written.checked,
    }
    return Outcome(document, "\n".join(lines))
