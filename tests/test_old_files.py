"""Files made before the layout of decision 012 keep their meaning after it.

``tests/data/before_layout`` was made by commit 240f022, the last one with the old layout: an
OpenVINO engine of a small ONNX network in INT8 with its calibration table, the bundle of the same
network for TensorRT, and the checkpoint of a finished run of a very narrow ``segnet_lite``.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from quiet_progress import quiet

from calibration.table import load_table
from models.registry import build_model, model_spec
from pipeline.build.bundle import open_bundle
from pipeline.build.from_bundle import RebuildOptions, rebuild
from pipeline.cli.parser import parse_arguments
from pipeline.engine import load_engine
from pipeline.runtimes import open_session
from pipeline.train.checkpoint import load_checkpoint
from pipeline.train.recipe import Recipe
from pipeline.train.trainer import RunSettings, Trainer

BEFORE = Path(__file__).parent / "data" / "before_layout"


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """A copy, so that nothing is written next to the files themselves."""
    return Path(shutil.copytree(BEFORE, tmp_path / "before"))


def test_an_engine_is_verified_and_runs(before: Path) -> None:
    engine = load_engine(before / "tiny-openvino-int8.xml")
    assert engine.manifest.layers.counts() == {"int8": 2, "fp16": 0, "fp32": 2}
    assert engine.manifest.classes.names == ("road", "car", "sky")
    frames = np.random.default_rng(0).integers(0, 256, (1, 120, 160, 3), dtype=np.uint8)
    with open_session(engine) as session:
        classes = session.run(frames)
    assert classes.shape == (1, 64, 96)
    assert classes.max() < 3


def test_a_manifest_keeps_its_keys(before: Path) -> None:
    path = before / "tiny-openvino-int8.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    assert json.loads(json.dumps(load_engine(path).manifest.to_json())) == document


def test_a_calibration_table_loads(before: Path) -> None:
    table = load_table(before / "tiny-openvino-int8.calibration.json")
    assert table.model == "tiny"
    assert table.sites
    assert table.fingerprint["frame_count"] == 30


def test_a_bundle_is_read_and_built_from(before: Path, tmp_path: Path) -> None:
    path = before / "tiny-tensorrt-int8.bundle.zip"
    with open_bundle(path) as (manifest, onnx, table):
        assert manifest.precision == "int8"
        assert onnx.exists()
        assert table is not None
        assert load_table(table).model == "tiny"
    options = RebuildOptions("tensorrt-rtx", targets=("sm86",), output=tmp_path / "engines")
    engine = rebuild(path, options, quiet)
    assert engine.manifest.name == "tiny-tensorrt-rtx-int8"
    assert engine.manifest.layers.counts()["int8"] == 2


def test_a_checkpoint_is_read_and_the_run_goes_on_where_it_ended(before: Path) -> None:
    state = load_checkpoint(before / "checkpoint.pt", "segnet_lite")
    assert state["step"] == 4
    spec = replace(model_spec("segnet_lite"), variant={"width": 1 / 64})
    recipe = Recipe(steps=4, batch=2, crop=(64, 64), warmup=1, validate_every=2)
    trainer = Trainer(spec, build_model(spec), recipe, RunSettings(before), torch.ones(11))
    trainer.resume()
    assert trainer.finished


def test_the_old_name_of_an_option_still_works() -> None:
    given = ["train", "segnet", "--data", "camvid", "--trunk", "published"]
    assert parse_arguments(given).encoder_weights == "published"


def test_the_documented_import_path_of_the_reader_still_works() -> None:
    from pipeline.receiver import Receiver

    assert Receiver.__module__ == "pipeline.stream.ipc.receiver"


def test_a_bundle_keeps_a_layer_in_floats_where_that_is_asked(before: Path, tmp_path: Path) -> None:
    """As for a layer that the other machine's TensorRT cannot run in INT8."""
    path = before / "tiny-tensorrt-int8.bundle.zip"
    with open_bundle(path) as (manifest, _, _):
        int8 = [name for name, kind in manifest.layers.convolutions.items() if kind == "int8"]
    options = RebuildOptions("tensorrt-rtx", output=tmp_path / "engines", high_precision=(int8[0],))
    built = load_engine(rebuild(path, options, quiet).path).manifest
    assert built.layers.convolutions[int8[0]] == "fp32"  # as the file is between INT8 layers
    assert {built.layers.convolutions[name] for name in int8[1:]} == {"int8"}
    assert built.calibration is not None
    assert built.calibration["kept"][int8[0]] == "asked for with --high-precision"
    assert built.settings["high_precision"] == [int8[0]]
    assert built.targets == ("sm80+",)
