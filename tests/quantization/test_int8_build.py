"""Real INT8 builds: calibrated, counted in the engine, measured, or refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from html_page import read
from quiet_progress import quiet

from calibration.errors import CalibrationError, DataError
from calibration.frames import open_calibration_frames
from calibration.scenes.synthetic import SyntheticDrive
from calibration.table import load_table
from models.registry import MODELS, build_model, model_spec
from models.weights import load_weights, registered_table
from pipeline.build.auto_precision import build_fastest
from pipeline.build.build import build
from pipeline.build.options import BuildOptions
from pipeline.engine.manifest import Engine, load_engine
from pipeline.errors import AccuracyError, RuntimeMissingError
from pipeline.graph.deployment import DeploymentGraph
from pipeline.graph.exported import ExportedGraph
from pipeline.quantization.calibrate import Target, agreement_of, calibrate, class_maps
from pipeline.quantization.options import Budget, Int8Options
from pipeline.quantization.search import Prepared, prepare
from pipeline.quantization.sensitivity import rank_layers
from pipeline.runtimes.registry import open_session

pytestmark = pytest.mark.slow  # nearly every test builds an engine

FRAMES = 16
SIZE = (120, 90)


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A labelled folder of frames of the synthetic drive."""
    folder = tmp_path_factory.mktemp("road")
    (folder / "images").mkdir()
    (folder / "labels").mkdir()
    drive = SyntheticDrive(160, 120)
    for index in range(FRAMES):
        image, label = drive.frame(index * 40)
        cv2.imwrite(str(folder / "images" / f"{index:03d}.png"), image)
        cv2.imwrite(str(folder / "labels" / f"{index:03d}.png"), label)
    return folder


@pytest.fixture(scope="module")
def options(road: Path, tmp_path_factory: pytest.TempPathFactory) -> BuildOptions:
    return BuildOptions(
        "segnet_lite",
        precision="int8",
        size=SIZE,
        calibration=road,
        data=road,
        max_miou_drop=0.05,
        output=tmp_path_factory.mktemp("engines"),
    )


@pytest.fixture(scope="module")
def engine(options: BuildOptions) -> Engine:
    return build(options, quiet)


@pytest.fixture(scope="module")
def calibrated(engine: Engine, options: BuildOptions) -> BuildOptions:
    """The same build from its own calibration table, which takes a fraction of the time."""
    return replace(options, calibration=engine.folder / f"{engine.manifest.name}.calibration.json")


@pytest.fixture(scope="module")
def target() -> Target:
    return make_target()


def make_target() -> Target:
    spec = model_spec("segnet_lite")
    spec = replace(spec, input=replace(spec.input, width=SIZE[0], height=SIZE[1]))
    network = build_model(spec)
    weights = load_weights(network, spec, None)
    return Target(spec, weights, ExportedGraph(DeploymentGraph(network, spec.input)))


def test_convolutions_run_in_int8_where_the_rules_say_so(engine: Engine) -> None:
    layers = load_engine(engine.path).manifest.layers
    assert layers.source == "engine"
    assert layers.counts() == {"int8": 25, "fp16": 0, "fp32": 1}
    kept = {name for name, precision in layers.convolutions.items() if precision == "fp32"}
    assert kept == {"encoder.0.0.conv"}


def test_an_older_table_leaves_the_classifier_in_floating_point(
    calibrated: BuildOptions, target: Target, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Tables written before classifiers were in INT8 have no range for them, and stay valid."""
    assert calibrated.calibration is not None
    document = json.loads(calibrated.calibration.read_text(encoding="utf-8"))
    del document["sites"]["classifier"]
    older = tmp_path / "older.json"
    older.write_text(json.dumps(document), encoding="utf-8")
    why = "classifier: the calibration table has no range for its input"
    prepared = prepare(target, Int8Options(calibration=older), True, tmp_path, quiet)
    assert reasons(prepared)["classifier"] == why
    assert prepared.table.high_precision == ()
    assert "no ranges for its classifier (classifier)" in caplog.text
    caplog.clear()
    kept = replace(target, kept={"classifier": "because"})
    prepared = prepare(kept, Int8Options(calibration=older), True, tmp_path, quiet)
    assert reasons(prepared)["classifier"] == "because"
    assert "no ranges" not in caplog.text


def test_layers_say_why_they_stay_in_floating_point(
    calibrated: BuildOptions, target: Target, tmp_path: Path
) -> None:
    assert calibrated.calibration is not None
    document = json.loads(calibrated.calibration.read_text(encoding="utf-8"))
    chosen = tmp_path / "chosen.json"
    chosen.write_text(json.dumps(document | {"high_precision": ["decoder.0.0.conv"]}))
    prepared = prepare(target, Int8Options(calibration=chosen), True, tmp_path, quiet)
    assert "accuracy gate" in reasons(prepared)["decoder.0.0.conv"]
    assert reasons(prepared)["classifier"] == ""


def reasons(prepared: Prepared) -> dict[str, str]:
    return {one.name: one.reason for one in prepared.graph.placement.convolutions}


def test_the_manifest_says_how_it_was_calibrated_and_what_that_cost(engine: Engine) -> None:
    manifest = load_engine(engine.path).manifest
    calibration, accuracy = manifest.calibration, manifest.accuracy
    assert calibration is not None
    assert calibration["frame_count"] == FRAMES
    assert calibration["source"].startswith("road")
    assert calibration["weights"] == manifest.weights.sha256
    assert set(calibration["measured"]["agreement_by_method"]) >= {"minmax", "entropy", "mse"}
    assert "first convolution" in calibration["kept"]["encoder.0.0.conv"]
    assert accuracy is not None
    assert accuracy["frames"] == FRAMES
    assert accuracy["miou_fp32"] - accuracy["miou"] <= 0.05
    assert 0.9 < accuracy["pixel_agreement"] < 1
    assert accuracy["speedup"] > 0
    assert any("128 calibration frames were asked for" in warning for warning in manifest.warnings)


def test_a_report_lies_beside_the_engine(engine: Engine) -> None:
    name = engine.manifest.name
    page = read(engine.folder / f"{name}.report.html")
    assert "encoder.0.0.conv (FP32)" in page.sections["precision"]
    assert len(list((engine.folder / f"{name}.report").glob("*.png"))) == 5


def test_its_own_table_builds_the_same_engine_again(engine: Engine, options: BuildOptions) -> None:
    table = engine.folder / str(load_engine(engine.path).manifest.calibration["table"])  # type: ignore[index]
    again = replace(options, calibration=table, data=None, max_miou_drop=None)
    again = replace(again, output=options.output / "again")
    rebuilt = build(again, quiet)
    frame = np.random.default_rng(3).integers(0, 256, (1, 90, 120, 3), dtype=np.uint8)
    with open_session(engine) as first, open_session(rebuilt) as second:
        assert np.array_equal(first.run(frame), second.run(frame))
    # Nothing was measured in this build; the table contains its own figures.
    assert rebuilt.manifest.warnings == ()
    assert rebuilt.manifest.calibration is not None
    assert rebuilt.manifest.calibration["measured"]["judged"]["frames"] == FRAMES


def test_the_engine_computes_what_the_quantised_graph_does(engine: Engine, road: Path) -> None:
    """The running engine computes the same as PyTorch does with the quantised graph."""
    subject_ = make_target()
    table = load_table(engine.folder / f"{engine.manifest.name}.calibration.json")
    frames = list(open_calibration_frames(road))[:4]
    module = subject_.quantised(table, unsigned=True).with_dtype(torch.float32)
    expected = class_maps(module, frames)
    with open_session(engine) as session:
        found = [session.run(frame[None])[0] for frame in frames]
    # Another order of summation rounds single values differently, which may move a pooling index.
    truth = class_maps(subject_.exported.module, frames)
    assert agreement_of(expected, found) > 0.97
    assert agreement_of(expected, found) > agreement_of(truth, found)


def test_a_table_of_another_size_is_refused_by_field(
    engine: Engine, options: BuildOptions, tmp_path: Path
) -> None:
    table = engine.folder / f"{engine.manifest.name}.calibration.json"
    other = replace(options, calibration=table, size=(96, 64), output=tmp_path)
    with pytest.raises(CalibrationError, match=r"preprocessing\.(width|height) is"):
        build(other, quiet)
    assert not list(tmp_path.glob("*"))


def test_a_table_of_another_network_is_refused(
    engine: Engine, options: BuildOptions, tmp_path: Path
) -> None:
    table = engine.folder / f"{engine.manifest.name}.calibration.json"
    other = replace(options, model="deeplab_v3plus_lite", calibration=table, output=tmp_path)
    with pytest.raises(CalibrationError, match="model is segnet_lite"):
        build(other, quiet)


def test_without_anything_to_calibrate_on_int8_is_refused(
    options: BuildOptions, tmp_path: Path
) -> None:
    nothing = replace(options, model="unet", weights="none", calibration=None, data=None)
    nothing = replace(nothing, max_miou_drop=None, output=tmp_path)
    with pytest.raises(CalibrationError, match="never used"):
        build(nothing, quiet)


def test_too_few_pictures_are_refused(options: BuildOptions, road: Path, tmp_path: Path) -> None:
    few = tmp_path / "few"
    few.mkdir()
    for picture in sorted((road / "images").iterdir())[:15]:
        (few / picture.name).write_bytes(picture.read_bytes())
    with pytest.raises(CalibrationError, match="15"):
        build(replace(options, calibration=few, output=tmp_path / "out"), quiet)


def test_miou_cannot_be_asked_of_pictures_without_labels(
    options: BuildOptions, road: Path, tmp_path: Path
) -> None:
    unlabelled = replace(options, data=road / "images", output=tmp_path)
    with pytest.raises(DataError, match="labelled pictures"):
        build(unlabelled, quiet)


def test_pictures_without_labels_are_judged_by_agreement(
    calibrated: BuildOptions, road: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlabelled = replace(calibrated, data=road / "images", max_miou_drop=None, output=tmp_path)
    # 98 % is for road scenes; this is a drawn drive at a tiny size.
    monkeypatch.setattr("pipeline.quantization.options.Int8Options.budget", Budget(agreement=0.9))
    accuracy = build(unlabelled, quiet).manifest.accuracy
    assert accuracy is not None
    assert accuracy["pixel_agreement"] >= 0.9
    assert "miou" not in accuracy


def test_a_budget_that_cannot_be_held_fails_with_the_attempts(
    calibrated: BuildOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.quantization.search.rank_layers", lambda *given: [])
    monkeypatch.setattr(Budget, "holds", lambda self, comparison: False)
    with pytest.raises(AccuracyError, match="points at best") as failure:
        build(replace(calibrated, output=tmp_path), quiet)
    assert "entropy" in [one["method"] for one in failure.value.attempts]
    assert not list(tmp_path.glob("*"))


def test_nan_in_a_layer_names_it(road: Path) -> None:
    broken = make_target()
    with torch.no_grad():
        broken.exported.module.get_parameter("network.encoder.1.0.conv.bias")[0] = float("nan")
    with pytest.raises(CalibrationError, match=r"encoder\.1\.1\.conv"):
        calibrate(broken, open_calibration_frames(road), quiet)


def test_sensitivity_finds_the_layer_with_the_bad_range(engine: Engine, road: Path) -> None:
    table = load_table(engine.folder / f"{engine.manifest.name}.calibration.json")
    bad = "decoder.3.0.conv"
    site = table.sites[bad]
    wrecked = {
        method: dict.fromkeys(kinds, 50 * site.maximum) for method, kinds in site.thresholds.items()
    }
    table = replace(table, sites={**table.sites, bad: replace(site, thresholds=wrecked)})
    frames = list(open_calibration_frames(road))[:2]
    ranked = rank_layers(make_target(), table, frames, quiet)
    assert ranked[0].layers == (bad,)
    assert ranked[0].gain > 0.01


def test_auto_measures_every_precision_and_says_why(
    calibrated: BuildOptions, tmp_path: Path
) -> None:
    engine = build_fastest(replace(calibrated, precision="auto", output=tmp_path), quiet)
    manifest = load_engine(engine.path).manifest
    auto = manifest.settings["auto"]
    tried = {one["precision"]: one for one in auto["tried"]}
    assert set(tried) >= {"fp32", "int8"}
    assert all(one["latency_ms"] > 0 for one in tried.values())
    assert auto["why"].startswith(f"{manifest.precision} is the fastest that is accurate enough")
    names = {path.name.split(".")[0] for path in tmp_path.iterdir()}
    assert names == {manifest.name}


def test_auto_is_refused_where_it_cannot_measure(options: BuildOptions, tmp_path: Path) -> None:
    blind = replace(options, precision="auto", runtime="tensorrt-rtx", output=tmp_path)
    with pytest.raises(RuntimeMissingError, match="measures what it builds"):
        build_fastest(blind, quiet)


def test_tensorrt_gets_the_same_placement_and_says_what_it_is_worth(
    calibrated: BuildOptions, tmp_path: Path
) -> None:
    engine = build(replace(calibrated, runtime="tensorrt-rtx", output=tmp_path), quiet)
    manifest = load_engine(engine.path).manifest
    assert manifest.layers.source == "builder"
    # One less than on OpenVINO: the scales of its weights are too small for FP16.
    assert manifest.layers.counts() == {"int8": 23, "fp16": 3, "fp32": 0}
    assert manifest.calibration is not None
    assert "where FP16 ends" in manifest.calibration["kept"]["decoder.0.0.conv"]
    assert any("requantises between INT8" in warning for warning in manifest.warnings)
    assert manifest.accuracy is not None
    assert manifest.accuracy["judged_on"].startswith("openvino, the same Q/DQ graph, in FP32")
    assert "speedup" not in manifest.accuracy  # another runtime's speed is not measured


@pytest.mark.parametrize("model", [name for name in MODELS if registered_table(name).exists()])
def test_a_registered_table_fits_its_weights_and_holds_the_budget(model: str) -> None:
    spec = model_spec(model)
    network = build_model(spec)
    weights = load_weights(network, spec, None)
    target = Target(spec, weights, ExportedGraph(DeploymentGraph(network, spec.input)))
    table = load_table(registered_table(model))
    table.check(spec.name, target.identity())
    judged = table.measured["judged"]
    assert judged["miou_fp32"] - judged["miou"] <= (0.003 if model.startswith("segnet") else 0.005)
    assert judged["pixel_agreement"] >= 0.98
