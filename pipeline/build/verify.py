"""A built engine measured on this machine: agreement with PyTorch, latency, mIoU."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from calibration.scenes.dataset import open_labelled_folder
from pipeline.build.options import BuildOptions
from pipeline.engine.manifest import Engine, Manifest
from pipeline.engine.records import Accuracy, Parity
from pipeline.errors import BuildError
from pipeline.evaluation.accuracy import evaluate
from pipeline.evaluation.latency import latency_of, time_runs
from pipeline.evaluation.pictures import drawn_frame, drawn_frames, has_labels, open_pictures
from pipeline.graph.deployment import DeploymentGraph
from pipeline.graph.tolerances import TOLERANCES
from pipeline.progress import Progress
from pipeline.runtimes.eager import EagerSession
from pipeline.runtimes.registry import missing, open_session
from pipeline.runtimes.session import Session

#: Pictures without labels on which an engine is compared with PyTorch.
AGREEMENT_FRAMES = 32

_NOT_RUN = "built without running it ({}): latency and accuracy of the engine were not measured"


def verify(
    engine: Engine, graph: DeploymentGraph, options: BuildOptions, progress: Progress
) -> Manifest:
    """Measure the engine if it runs here: agreement with PyTorch, latency, mIoU on ``--data``."""
    manifest = engine.manifest
    reason = missing(manifest.runtime)
    if reason is not None:
        return replace(manifest, warnings=(*manifest.warnings, _NOT_RUN.format(reason)))
    with open_session(engine, measuring=True) as session:
        progress("comparing with PyTorch", 0.0)
        accuracy = Accuracy(parity=_parity(session, graph, manifest))
        progress("measuring latency", 0.5)
        times = time_runs(session, drawn_frame(manifest.input, 0), seconds=2.0, runs=30)
        if options.data is not None and manifest.precision != "int8":
            accuracy |= _on_data(session, graph, manifest, options.data, progress)
        progress("measured", 1.0)
    return replace(manifest, accuracy=accuracy, latency_ms=latency_of(times).to_json())


def _on_data(
    session: Session, graph: DeploymentGraph, manifest: Manifest, data: Path, progress: Progress
) -> Accuracy:
    """Measure mIoU on labelled pictures, or agreement with PyTorch on others."""
    if has_labels(data):
        progress("measuring mIoU", 0.7)
        samples = open_labelled_folder(data, manifest.classes)
        scores = evaluate(session, samples, manifest.classes)
        return {"miou": scores.miou, "frames": scores.frames}
    progress("comparing with PyTorch on the pictures", 0.7)
    reference = EagerSession(graph)
    found = open_pictures(data, manifest.classes, AGREEMENT_FRAMES)
    same = [
        float(np.mean(session.run(one.image[None]) == reference.run(one.image[None])))
        for one in found.pictures
    ]
    return {"frames": len(same), "pixel_agreement": float(np.mean(same))}


def _parity(session: Session, graph: DeploymentGraph, manifest: Manifest) -> Parity:
    reference = EagerSession(graph)
    shares = [
        float(np.mean(session.run(frame) == reference.run(frame)))
        for frame in drawn_frames(manifest.input)
    ]
    agreement = min(shares)
    broken = TOLERANCES["fp32"].agreement
    if manifest.precision == "fp32" and agreement < broken:
        raise BuildError(
            f"the {manifest.runtime} engine agrees with PyTorch on {agreement:.1%} of pixels, "
            f"expected at least {broken:.0%} in FP32; the runtime miscomputes an operation, "
            "please report the network and the runtime's version"
        )
    return {"frames": len(shares), "pixel_agreement": agreement, "reference": "PyTorch FP32"}
