"""``train`` as users see it: other classes, mistakes, Ctrl-C, weights for the repository."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from calibration.scenes.class_file import read_classes
from models.atomic import sha256_of
from models.registry import build_model, model_spec
from models.weights import load_weights
from pipeline.build.build import build
from pipeline.build.options import BuildOptions
from pipeline.cli import main
from pipeline.cli import train as command
from pipeline.cli.parser import parse_arguments
from pipeline.errors import OutputError
from pipeline.train.checkpoint import load_checkpoint
from pipeline.train.publish import register
from pipeline.train.recipe import RECIPES, fine_tuning_recipe
from pipeline.train.start import start_from_trained

ROOT = Path(__file__).parents[2]
CLASSES = "sky 70,130,180\nroad\nvoid\ncar 0,0,142\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two labelled pictures each for training and for validation, labels 0 to 3."""
    random = np.random.default_rng(0)
    for part in ("train", "val"):
        for kind in ("images", "labels"):
            (tmp_path / "data" / part / kind).mkdir(parents=True)
        for name in ("a", "b"):
            picture = random.integers(0, 256, (90, 120, 3), dtype=np.uint8)
            label = np.repeat(np.arange(4, dtype=np.uint8), 30)[None].repeat(90, 0)
            cv2.imwrite(str(tmp_path / "data" / part / "images" / f"{name}.png"), picture)
            cv2.imwrite(str(tmp_path / "data" / part / "labels" / f"{name}.png"), label)
    return tmp_path / "data"


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    path = tmp_path / "classes.txt"
    path.write_text(CLASSES)
    return path


def arguments(data: Path, *more: str) -> list[str]:
    folder = data.parent / "run"
    return ["train", "segnet_lite", "--data", str(data), "--folder", str(folder), *more]


def train(capsys: pytest.CaptureFixture[str], data: Path, *more: str) -> dict[str, Any]:
    assert main([*arguments(data, *more), "--json"]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return document


def error_of(capsys: pytest.CaptureFixture[str], data: Path, *more: str) -> str:
    assert main(arguments(data, *more)) == 1
    lines = [ln for ln in capsys.readouterr().err.splitlines() if ln.startswith("error: ")]
    assert len(lines) == 1
    return lines[0]


@pytest.mark.slow
def test_other_classes_are_trained_scored_built_and_remembered(
    capsys: pytest.CaptureFixture[str], data: Path, classes: Path, tmp_path: Path
) -> None:
    card = train(capsys, data, "--classes", str(classes), "--steps", "1")
    assert set(card["val"]["iou"]) == {"sky", "road", "car"}
    assert "synthetic" not in card["data"]  # drawn frames have other classes
    weights = str(tmp_path / "run" / card["file"])
    scored = ["evaluate", "segnet_lite", "--weights", weights, "--data", str(data / "val")]
    assert main([*scored, "--json"]) == 0
    again = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert again["iou"] == pytest.approx(card["val"]["iou"], abs=0.02)
    options = BuildOptions("segnet_lite", size=(64, 48), weights=weights, output=tmp_path / "e")
    manifest = build(options, lambda what, share: None).manifest
    assert manifest.classes.names == ("sky", "road", "void", "car")
    assert manifest.classes.palette[3] == (0, 0, 142)
    assert "give the --classes file" in error_of(capsys, data, "--resume", "--steps", "2")


def test_the_card_says_how_to_train_it_again_and_names_no_folder_of_this_machine(
    capsys: pytest.CaptureFixture[str], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROADSEG_DATA", str(data.parent))
    given = ("--steps", "1", "--batch", "3", "--crop", "96x64", "--rate", "3e-4")
    given += ("--synthetic", "0.5", "--patience", "4", "--seed", "3")
    card = train(capsys, data, *given, "--notes", "a try")
    assert card["command"] == (
        "python -m pipeline train segnet_lite --data $ROADSEG_DATA/data --steps 1 --batch 3 "
        "--crop 96x64 --rate 0.0003 --synthetic 0.5 --patience 4 --seed 3"
    )
    replaced = {"steps": 1, "batch": 3, "crop": [64, 96], "rate": 3e-4, "patience": 4}
    assert replaced.items() <= card["recipe"].items()
    assert card["data"] == "data/train, 50% synthetic frames"
    assert card["recipe"]["synthetic"] == 0.5
    assert card["notes"] == "a try"
    assert card["curves"] == "segnet_lite.svg"
    assert card["validations"][-1][0] == card["recipe"]["steps"]
    assert max(miou for _, miou in card["validations"]) > 0
    assert next(iter(card["val_detail"]["recall_by_size"])) == "tiny"
    assert (data.parent / "run" / "segnet_lite.svg").read_text().startswith("<svg")
    monkeypatch.delenv("ROADSEG_DATA")
    assert command._portable(data) == "DIR/data"
    assert command._portable(Path("pictures/mine")) == "pictures/mine"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda train: (train / "labels" / "b.png").unlink(), "1 of 2 pictures have no label"),
        (
            lambda train: cv2.imwrite(str(train / "labels" / "b.png"), np.zeros((9, 12), np.uint8)),
            "12x9 pixels, but its picture b.png has 120x90",
        ),
        (
            lambda train: [
                cv2.imwrite(str(train / kind / "b.png"), np.zeros((45, 60, *more), np.uint8))
                for kind, more in (("images", (3,)), ("labels", ()))
            ],
            "a has 120x90 pixels, b has 60x45",
        ),
        (
            lambda train: cv2.imwrite(
                str(train / "labels" / "b.png"), np.full((90, 120), 77, np.uint8)
            ),
            "hold 77; expected 0 to 10 or 11",
        ),
        (
            lambda train: [path.unlink() for path in (train / "images").iterdir()],
            "no pictures in this folder",
        ),
        (lambda train: train.rename(train.with_name("elsewhere")), "no such folder"),
    ],
)
def test_data_that_cannot_be_trained_on_is_one_line(
    capsys: pytest.CaptureFixture[str],
    data: Path,
    damage: Callable[[Path], object],
    message: str,
) -> None:
    damage(data / "train")
    assert message in error_of(capsys, data)
    assert not (data.parent / "run").exists()


def test_crops_and_batches_that_cannot_be_trained_on_are_one_line(
    capsys: pytest.CaptureFixture[str], data: Path
) -> None:
    assert "cannot work at 16x48" in error_of(capsys, data, "--crop", "16x48")
    whole_picture = ["train", "deeplab_v3_lite", "--data", str(data), "--batch", "1"]
    assert main(whole_picture) == 1
    assert "give --batch 2" in capsys.readouterr().err


def test_a_network_is_trained_without_its_teacher_where_that_knows_other_classes(
    data: Path, classes: Path
) -> None:
    options = parse_arguments(["train", "segnet", "--data", str(data)])
    assert command._recipe(options, command._spec(options)).teacher == "deeplab_v3plus_lite"
    options.classes = classes
    alone = command._recipe(options, command._spec(options))
    assert (alone.teacher, alone.distil) == (None, 0.0)


def test_a_run_is_not_trained_over_by_mistake(
    capsys: pytest.CaptureFixture[str], data: Path
) -> None:
    run = data.parent / "run"
    run.mkdir()
    (run / "checkpoint.pt").write_bytes(b"hours of work")
    line = error_of(capsys, data)
    assert "--resume" in line
    assert "--force" in line
    assert (run / "checkpoint.pt").read_bytes() == b"hours of work"


def test_training_goes_on_from_weights_of_other_classes(
    data: Path, classes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All layers start as trained except the classifier, which has another number of scores."""
    network = build_model(replace(model_spec("segnet_lite"), classes=read_classes(classes)))
    trained = build_model(model_spec("segnet_lite"))
    load_weights(trained, model_spec("segnet_lite"), None)
    spec = replace(model_spec("segnet_lite"), classes=read_classes(classes))
    left = start_from_trained(network, spec, "segnet_lite")
    state, given = network.state_dict(), trained.state_dict()
    assert left == ["classifier.bias", "classifier.weight"]
    assert all(torch.equal(state[name], given[name]) for name in given if name not in left)

    more = ("--weights", "segnet_lite", "--classes", str(classes), "--steps", "1")
    card = train(capsys, data, *more)
    assert card["pretrained"].startswith("trained weights segnet_lite.safetensors, SHA-256 ")
    assert "--weights segnet_lite " in card["command"]


def test_further_training_is_shorter_and_slower() -> None:
    whole = RECIPES["segnet"]
    further = fine_tuning_recipe(whole)
    assert further.steps < whole.steps
    assert further.rate < whole.rate
    assert replace(further, steps=0, rate=0, warmup=0, validate_every=0) == replace(
        whole, steps=0, rate=0, warmup=0, validate_every=0
    )


def test_weights_for_other_classes_are_not_published(
    capsys: pytest.CaptureFixture[str], data: Path, classes: Path
) -> None:
    line = error_of(capsys, data, "--classes", str(classes), "--publish")
    assert "with the 4 classes of" in line


def test_drawn_frames_are_refused_for_classes_that_they_do_not_show(
    capsys: pytest.CaptureFixture[str], data: Path, classes: Path
) -> None:
    line = error_of(capsys, data, "--classes", str(classes), "--synthetic", "0.1")
    assert "the synthetic drive has CamVid's" in line


def test_ctrl_c_saves_and_says_how_to_go_on(data: Path) -> None:
    run = data.parent / "run"
    words = [sys.executable, "-m", "pipeline", *arguments(data, "--steps", "5000")]
    process = subprocess.Popen(
        words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )
    deadline = time.monotonic() + 120
    while not (run / "checkpoint.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    step = load_checkpoint(run / "checkpoint.pt", "segnet_lite")["step"]
    assert output.startswith(f"stopped after step {step} of 5000, saved in {run}")
    assert "--resume" in output
    assert {path.name for path in run.iterdir()} == {"checkpoint.pt"}


@pytest.fixture
def published(tmp_path: Path) -> Path:
    folder = tmp_path / "published"
    folder.mkdir()
    (folder / "net.safetensors").write_bytes(b"weights")
    (folder / "net.svg").write_text("<svg/>")
    sha256 = sha256_of(folder / "net.safetensors")
    (folder / "net.json").write_text(json.dumps({"sha256": sha256}))
    return folder


def test_weights_card_and_curves_are_published_together(published: Path, tmp_path: Path) -> None:
    trained = tmp_path / "trained"
    trained.mkdir()
    register("net", published, trained, weights=True)
    copied = {path.name: path.read_bytes() for path in trained.iterdir()}
    assert copied == {path.name: path.read_bytes() for path in published.iterdir()}


def test_a_card_is_published_without_weights_that_are_too_large(
    published: Path, tmp_path: Path
) -> None:
    trained = tmp_path / "trained"
    trained.mkdir()
    register("net", published, trained, weights=False)
    assert {path.name for path in trained.iterdir()} == {"net.json", "net.svg"}


def test_a_card_is_not_published_beside_weights_of_another_run(
    published: Path, tmp_path: Path
) -> None:
    trained = tmp_path / "trained"
    trained.mkdir()
    (trained / "net.safetensors").write_bytes(b"other weights")
    with pytest.raises(OutputError, match=r"net\.safetensors holds weights of another run"):
        register("net", published, trained, weights=False)
    assert [path.name for path in trained.iterdir()] == ["net.safetensors"]
