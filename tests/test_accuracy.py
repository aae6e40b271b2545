"""Trained weights on real road scenes: what the cards claim, and engine against PyTorch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from calibration.dataset import open_labelled_folder
from calibration.scores import Scores
from models.classes import CAMVID
from models.registry import build_model, model_spec
from models.weights import load_weights, weights_card
from pipeline.build import build
from pipeline.build_options import BuildOptions
from pipeline.deploy import DeploymentGraph
from pipeline.evaluate import evaluate
from pipeline.sessions import open_session
from pipeline.sessions.eager import EagerSession


def scores(name: str, data: Path, folder: Path, step: int) -> tuple[Scores, Scores]:
    """Score engine and eager network on every ``step``-th validation frame."""
    samples = open_labelled_folder(data / "camvid" / "val", CAMVID)
    picked = [samples[i] for i in range(0, len(samples), step)]
    spec = model_spec(name)
    network = build_model(spec)
    load_weights(network, spec, None)
    eager = EagerSession(DeploymentGraph(network, spec.input))
    engine = build(BuildOptions(name, output=folder), lambda what, share: None)
    with open_session(engine) as session:
        return evaluate(session, picked, CAMVID), evaluate(eager, picked, CAMVID)


@pytest.mark.parametrize(("name", "least"), [("segnet_lite", 0.45), ("deeplab_v3plus_lite", 0.7)])
def test_an_engine_reaches_what_the_card_of_its_weights_says(
    name: str, least: float, road_data: Path, tmp_path: Path
) -> None:
    engine, eager = scores(name, road_data, tmp_path, step=1)
    card = weights_card(name)
    assert card is not None
    assert engine.frames == 101
    assert engine.miou >= least
    assert abs(engine.miou - eager.miou) < 0.002
    assert engine.miou == pytest.approx(card["val"]["miou"], abs=0.002)


def test_segnet_engine_is_within_a_fifth_of_a_point_of_pytorch(
    road_data: Path, tmp_path: Path
) -> None:
    engine, eager = scores("segnet", road_data, tmp_path, step=20)
    assert engine.miou > 0.3
    assert abs(engine.miou - eager.miou) < 0.002


def test_another_size_still_sees_the_road(road_data: Path, tmp_path: Path) -> None:
    options = replace(BuildOptions("segnet_lite"), size=(384, 288), output=tmp_path)
    engine = build(replace(options, data=road_data / "camvid" / "val"), lambda what, share: None)
    assert engine.manifest.accuracy is not None
    assert engine.manifest.accuracy["miou"] > 0.35
    assert engine.manifest.accuracy["frames"] == 101
