"""``evaluate``: accuracy on labelled pictures."""

from __future__ import annotations

import argparse
from pathlib import Path

from calibration.dataset import open_labelled_folder
from calibration.scores import Scores
from models.classes import ClassSet
from models.registry import MODELS
from pipeline.cli.outcome import Outcome, counted, percent
from pipeline.evaluate import evaluate
from pipeline.sessions import open_engine
from pipeline.sessions.base import Session


def run(options: argparse.Namespace) -> Outcome:
    """Score an engine, or a network in eager PyTorch where a network's name was given."""
    classes, session = _session(options)
    with session:
        samples = open_labelled_folder(options.data, classes)
        bar = counted(samples, "evaluating", len(samples), quiet=options.json)
        scores = evaluate(session, bar, classes)
    document = {
        "miou": scores.miou,
        "pixel_accuracy": scores.pixel_accuracy,
        "iou": scores.iou,
        "frames": scores.frames,
    }
    return Outcome(document, _text(scores))


def _session(options: argparse.Namespace) -> tuple[ClassSet, Session]:
    if options.engine not in MODELS:
        engine, session = open_engine(Path(options.engine))
        return engine.manifest.classes, session
    # Imported here: scoring an engine needs no torch.
    from models.registry import build_model, model_spec
    from models.weights import load_weights
    from pipeline.deploy import DeploymentGraph
    from pipeline.sessions.eager import EagerSession

    spec = model_spec(options.engine)
    network = build_model(spec)
    load_weights(network, spec, options.weights)
    return spec.classes, EagerSession(DeploymentGraph(network, spec.input))


def _text(scores: Scores) -> str:
    lines = [f"{name:<14}{percent(value)}" for name, value in scores.iou.items()]
    lines.append(f"{'mIoU':<14}{percent(scores.miou)}   over {scores.frames} frames")
    lines.append(f"{'pixel accuracy':<14}{percent(scores.pixel_accuracy)}")
    return "\n".join(lines)
