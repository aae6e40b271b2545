"""``evaluate``: accuracy on labelled pictures."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from calibration.metrics.boundary import TOLERANCE
from calibration.metrics.detail import Detail
from calibration.metrics.miou import Scores
from calibration.scenes.dataset import open_labelled_folder
from models.classes import ClassSet
from models.registry import MODELS
from pipeline.cli.outcome import Outcome, counted, is_quiet, percent
from pipeline.errors import EngineError
from pipeline.evaluation.accuracy import evaluate, evaluate_in_detail
from pipeline.runtimes.registry import open_engine
from pipeline.runtimes.session import Session

if TYPE_CHECKING:
    from pipeline.graph.deployment import DeploymentGraph


def run(options: argparse.Namespace) -> Outcome:
    """Score an engine, or a network in eager PyTorch where a network's name was given."""
    classes, session = _session(options)
    detail = None
    with session:
        samples = open_labelled_folder(options.data, classes)
        bar = counted(samples, "evaluating", len(samples), quiet=is_quiet(options))
        if options.detail:
            scores, detail = evaluate_in_detail(session, bar, classes)
        else:
            scores = evaluate(session, bar, classes)
    document = asdict(scores)
    if detail is not None:
        document["detail"] = detail.to_json()
    return Outcome(document, "\n".join(_lines(scores, detail)))


def _session(options: argparse.Namespace) -> tuple[ClassSet, Session]:
    path = Path(options.engine)
    if options.engine not in MODELS and (path.suffix or path.exists()):
        if options.ensemble:
            raise EngineError(
                f"--ensemble was given for the engine {options.engine}, expected the name of a "
                "network: networks vote in PyTorch; drop --ensemble, or name a network"
            )
        if options.weights is not None:
            raise EngineError(
                f"--weights {options.weights} was given for the engine {options.engine}, which has "
                "its own; drop --weights, or give the name of a network (see 'models')"
            )
        engine, session = open_engine(path)
        return engine.manifest.classes, session
    # Imported here: scoring an engine needs no torch.
    from pipeline.graph.ensemble import EnsembleGraph
    from pipeline.runtimes.eager import EagerSession

    classes, graph = _graph(options.engine, options.weights)
    others = []
    for given in options.ensemble:
        name, _, weights = given.partition("=")
        theirs, other = _graph(name, weights or None)
        if theirs.names != classes.names:
            raise EngineError(
                f"--ensemble {given} has {len(theirs)} classes ({theirs.names[0]}, ...), "
                f"expected the {len(classes)} of {options.engine} ({classes.names[0]}, ...); "
                "choose networks of the same classes"
            )
        others.append(other)
    return classes, EagerSession(EnsembleGraph([graph, *others]) if others else graph)


def _graph(name: str, weights: str | None) -> tuple[ClassSet, DeploymentGraph]:
    from models.registry import build_model, model_spec
    from models.weights import as_trained, load_weights
    from pipeline.graph.deployment import DeploymentGraph

    spec = as_trained(model_spec(name), weights)
    network = build_model(spec)
    load_weights(network, spec, weights)
    return spec.classes, DeploymentGraph(network, spec.input)


def _lines(scores: Scores, detail: Detail | None) -> list[str]:
    outlines = {} if detail is None else detail.boundary.f1
    lines = [f"{'':<14}{'  IoU'}" + ("  boundary F1" if outlines else "")]
    for name, value in scores.iou.items():
        outline = f"  {percent(outlines[name]):>11}" if outlines else ""
        lines.append(f"{name:<14}{percent(value)}{outline}")
    mean = "" if detail is None else f"  {percent(detail.boundary.mean):>11}"
    lines.append(f"{'mean':<14}{percent(scores.miou)}{mean}   over {scores.frames} frames")
    lines.append(f"{'pixel accuracy':<14}{percent(scores.pixel_accuracy)}")
    if scores.unlabelled:
        lines.append(f"warning: no labelled pixel of {', '.join(scores.unlabelled)}")
    if detail is not None:
        lines += _detail_lines(detail)
    return lines


def _detail_lines(detail: Detail) -> list[str]:
    lines = [f"boundary F1 is within {TOLERANCE} pixels", "recall by region size:"]
    lines += [
        f"  {name:<12}{percent(size.recall)}   of {size.regions} regions"
        for name, size in detail.recall_by_size.items()
    ]
    stability = detail.stability
    share = "    -" if stability.flip_share is None else f"{100 * stability.flip_share:5.2f}"
    lines.append(f"{'flips':<14}{share}   between {stability.pairs} pairs of consecutive frames")
    return lines
