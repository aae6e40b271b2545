"""Trained weights on real road scenes: the figures of their cards, and engine against PyTorch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from calibration.scenes.dataset import Sample, open_labelled_folder
from models.classes import CAMVID
from models.registry import build_model, model_spec
from models.weights import load_weights, weights_card
from pipeline.build.build import build
from pipeline.build.options import BuildOptions
from pipeline.evaluation.accuracy import evaluate
from pipeline.graph.deployment import DeploymentGraph
from pipeline.runtimes.eager import EagerSession
from pipeline.runtimes.registry import open_session
from pipeline.runtimes.session import Session

#: The frames of the 101 on which PyTorch is scored too, which takes many times as long.
COMPARED = slice(0, None, 10)


def engine_and_eager(name: str, folder: Path) -> tuple[Session, Session]:
    """Open the engine of registered weights, and the network that it was built from."""
    spec = model_spec(name)
    network = build_model(spec)
    load_weights(network, spec, None)
    engine = build(BuildOptions(name, output=folder), lambda what, share: None)
    return open_session(engine), EagerSession(DeploymentGraph(network, spec.input))


def val_frames(data: Path) -> list[Sample]:
    folder = open_labelled_folder(data / "camvid" / "val", CAMVID)
    return [folder[i] for i in range(len(folder))]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "least"), [("segnet_lite", 0.45), ("deeplab_v3plus_lite", 0.7)])
def test_an_engine_reaches_what_the_card_of_its_weights_says(
    name: str, least: float, road_data: Path, tmp_path: Path
) -> None:
    frames = val_frames(road_data)
    engine, eager = engine_and_eager(name, tmp_path)
    card = weights_card(name)
    assert card is not None
    with engine, eager:
        whole = evaluate(engine, frames, CAMVID)
        assert whole.frames == 101
        assert whole.miou >= least
        assert whole.miou == pytest.approx(card["val"]["miou"], abs=0.002)
        same = evaluate(engine, frames[COMPARED], CAMVID)
        assert abs(same.miou - evaluate(eager, frames[COMPARED], CAMVID).miou) < 0.002


@pytest.mark.slow
def test_segnet_engine_is_within_a_fifth_of_a_point_of_pytorch(
    road_data: Path, tmp_path: Path
) -> None:
    frames = val_frames(road_data)[::20]
    engine, eager = engine_and_eager("segnet", tmp_path)
    with engine, eager:
        computed = evaluate(engine, frames, CAMVID)
        assert computed.miou > 0.3
        assert abs(computed.miou - evaluate(eager, frames, CAMVID).miou) < 0.002


@pytest.mark.slow
def test_another_size_still_sees_the_road(road_data: Path, tmp_path: Path) -> None:
    options = replace(BuildOptions("segnet_lite"), size=(384, 288), output=tmp_path)
    engine = build(replace(options, data=road_data / "camvid" / "val"), lambda what, share: None)
    assert engine.manifest.accuracy is not None
    assert engine.manifest.accuracy["miou"] > 0.35
    assert engine.manifest.accuracy["frames"] == 101
