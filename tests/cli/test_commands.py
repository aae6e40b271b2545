"""The command line as users see it: one line per mistake, JSON that other programs can read."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from models.classes import CAMVID, ClassSet
from models.registry import MODELS, build_model, model_spec
from models.weights import save_weights
from pipeline.cli import main
from pipeline.cli.outcome import counted, step_bar
from pipeline.engine.manifest import Engine
from pipeline.train.checkpoint import load_checkpoint

Captured = pytest.CaptureFixture[str]


def run_json(capsys: Captured, *arguments: str) -> dict[str, object]:
    assert main([*arguments, "--json"]) == 0
    document: dict[str, object] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return document


def error_of(capsys: Captured, *arguments: str) -> str:
    assert main(arguments) == 1
    written = capsys.readouterr()
    lines = [line for line in written.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, written.err
    assert "Traceback" not in written.err
    return lines[0]


@pytest.fixture
def engine(small_engine: Engine, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    for path in small_engine.folder.iterdir():
        shutil.copy(path, tmp_path)
    return tmp_path / small_engine.path.name


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    folder = tmp_path / "labelled"
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    random = np.random.default_rng(0)
    for i in range(3):
        picture = random.integers(0, 256, (90, 120, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / "images" / f"{i}.png"), picture)
        cv2.imwrite(str(folder / "labels" / f"{i}.png"), np.full((90, 120), 3, np.uint8))
    return folder


def test_models_lists_the_registry(capsys: Captured) -> None:
    rows = run_json(capsys, "models")["models"]
    assert [row["name"] for row in rows] == list(MODELS)  # type: ignore[index, union-attr]
    segnet = next(row for row in rows if row["name"] == "segnet")  # type: ignore[union-attr, index]
    assert segnet["parameters"] == 29_449_355
    assert segnet["output_stride"] == 32


def test_run_writes_every_sink_and_counts(capsys: Captured, engine: Path, tmp_path: Path) -> None:
    video, masks = tmp_path / "out.mp4", tmp_path / "masks"
    report = run_json(
        capsys, "run", str(engine), "--source", "synthetic:160x120", "--frames", "4",
        "--sink", str(video), "--sink", str(masks), "--sink", "none",
    )  # fmt: skip
    assert report["frames"] == 4
    assert report["dropped"] == 0
    assert report["outputs"] == [str(video), str(masks)]
    assert {"fps", "frame_age_ms", "result_age_ms", "stages_ms"} <= report.keys()
    assert len(list(masks.glob("*.png"))) == 4
    capture = cv2.VideoCapture(str(video))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 4


def test_run_twice_replaces_its_own_output_only(
    capsys: Captured, engine: Path, tmp_path: Path
) -> None:
    arguments = ("run", str(engine), "--source", "synthetic:64x64", "--frames", "1", "--sink")
    for _ in range(2):
        run_json(capsys, *arguments, str(tmp_path / "out.mp4"))
    mine = tmp_path / "mine.mp4"
    mine.write_text("precious")
    assert "--force" in error_of(capsys, *arguments, str(mine))
    assert mine.read_text() == "precious"


def test_evaluate_gives_shares_per_class(capsys: Captured, engine: Path, labelled: Path) -> None:
    scores = run_json(capsys, "evaluate", str(engine), "--data", str(labelled))
    assert scores["frames"] == 3
    assert set(scores["iou"]) == set(CAMVID.names)  # type: ignore[call-overload]
    assert 0 <= scores["miou"] <= scores["pixel_accuracy"] <= 1  # type: ignore[operator]


def test_evaluate_in_detail_adds_outlines_sizes_and_flips(
    capsys: Captured, engine: Path, labelled: Path
) -> None:
    arguments = ("evaluate", str(engine), "--data", str(labelled))
    plain, scores = run_json(capsys, *arguments), run_json(capsys, *arguments, "--detail")
    detail = scores.pop("detail")
    assert scores == plain
    assert set(detail["boundary_f1_per_class"]) == set(CAMVID.names)  # type: ignore[index, call-overload]
    assert detail["boundary_f1"] is None  # type: ignore[index]  # all labels are road
    assert list(detail["recall_by_size"]) == ["tiny", "small", "medium", "large", "huge"]  # type: ignore[index, call-overload]
    assert detail["recall_by_size"]["huge"]["regions"] == 3  # type: ignore[index]
    assert detail["recall_by_size"]["huge"]["recall"] == scores["pixel_accuracy"]  # type: ignore[index]
    assert detail["frame_pairs"] == 2  # type: ignore[index]
    assert 0 < detail["flip_share"] < 1  # type: ignore[index]  # every picture is other noise
    assert main([*arguments, "--detail"]) == 0
    written = capsys.readouterr().out
    assert "boundary F1 is within 3 pixels" in written
    assert "of 3 regions" in written


def test_evaluate_takes_a_network_and_weights_for_it(
    capsys: Captured, engine: Path, labelled: Path
) -> None:
    arguments = ("evaluate", "segnet_lite", "--data", str(labelled))
    trained = run_json(capsys, *arguments)
    assert trained["frames"] == 3
    assert run_json(capsys, *arguments, "--weights", "segnet_lite") == trained
    assert run_json(capsys, *arguments, "--weights", "none")["iou"] != trained["iou"]
    assert "not found" in error_of(capsys, *arguments, "--weights", "nowhere.safetensors")
    line = error_of(capsys, "evaluate", str(engine), *arguments[2:], "--weights", "segnet_lite")
    assert "drop --weights" in line


def test_evaluate_lets_networks_vote(
    capsys: Captured, engine: Path, labelled: Path, tmp_path: Path
) -> None:
    arguments = ("evaluate", "segnet_lite", "--data", str(labelled))
    alone = run_json(capsys, *arguments)
    assert run_json(capsys, *arguments, "--ensemble", "segnet_lite") == alone
    together = run_json(capsys, *arguments, "--ensemble", "deeplab_v3plus_lite")
    assert together["iou"] != alone["iou"]
    random = run_json(capsys, *arguments, "--ensemble", "deeplab_v3plus_lite=none")
    assert random["iou"] != together["iou"]
    line = error_of(capsys, "evaluate", str(engine), *arguments[2:], "--ensemble", "segnet")
    assert "drop --ensemble" in line
    spec = model_spec("segnet_lite")
    other = replace(spec, classes=ClassSet(("road", "rest"), ((0, 0, 0), (1, 1, 1))))
    save_weights(tmp_path / "w.safetensors", other, build_model(other).state_dict())
    given = f"segnet_lite={tmp_path / 'w.safetensors'}"
    line = error_of(capsys, *arguments, "--ensemble", given)
    assert "has 2 classes (road, ...), expected the 11 of segnet_lite" in line


def test_bench_gives_rate_and_percentiles(capsys: Captured, engine: Path) -> None:
    result = run_json(capsys, "bench", str(engine), "--runs", "5")
    latency = result["latency_ms"]
    assert latency["p50"] <= latency["p95"] <= latency["p99"]  # type: ignore[index]
    assert result["fps"] == pytest.approx(1000 / latency["p50"])  # type: ignore[index]
    assert result["runtime"] == "openvino"
    assert result["precision"] == "fp32"


def test_bench_fails_below_the_rate_that_is_asked_for_and_tells_ci(
    capsys: Captured, engine: Path, tmp_path: Path
) -> None:
    report = tmp_path / "fps.xml"
    options = ("bench", str(engine), "--runs", "5", "--clip", "0", "--no-limit")
    assert main([*options, "--min-fps", "1e6", "--junit", str(report)]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    assert "expected at least 1e+06 (--min-fps)" in error
    suite = ElementTree.parse(report).getroot().find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures")) == ("1", "1")
    assert "expected at least" in (suite.findtext("testcase/failure") or "")
    assert main([*options, "--min-fps", "0.001", "--junit", str(report)]) == 0  # it is our own
    suite = ElementTree.parse(report).getroot().find("testsuite")
    assert suite is not None
    assert suite.get("failures") == "0"
    kept = {one.get("name"): one.get("value") for one in suite.iter("property")}
    assert float(kept["fps"] or 0) > 0
    assert kept["precision"] == "fp32"


def test_inspect_gives_the_manifest(capsys: Captured, engine: Path) -> None:
    manifest = run_json(capsys, "inspect", str(engine))
    assert manifest == json.loads(engine.with_suffix(".json").read_text())


def test_doctor_says_what_can_be_built_and_run(capsys: Captured) -> None:
    report = run_json(capsys, "doctor")
    runtimes = {row["runtime"]: row for row in report["runtimes"]}  # type: ignore[union-attr, index]
    assert runtimes["openvino"]["can_build"]
    assert runtimes["openvino"]["can_run"]
    assert runtimes["tensorrt-rtx"]["can_build"]
    if find_spec("tensorrt") is None:
        assert not runtimes["tensorrt"]["can_build"]
    assert all(row["can_bundle"] for row in runtimes.values())
    assert main(["doctor"]) == 0
    table = capsys.readouterr().out.partition("build")[2]
    shown = {line.split()[0]: line.split()[1:] for line in table.splitlines() if "  " in line}
    if not runtimes["tensorrt"]["can_build"]:
        assert shown["tensorrt"] == ["bundle", "no"]
    assert report["packages"]["openvino"]  # type: ignore[index]
    assert isinstance(report["video"]["ffmpeg"], bool)  # type: ignore[index]


@pytest.mark.slow
def test_train_leaves_weights_and_a_card_and_resumes(
    capsys: Captured, labelled: Path, tmp_path: Path
) -> None:
    data, folder = tmp_path / "data", tmp_path / "run"
    for part in ("train", "val"):
        shutil.copytree(labelled, data / part)
        for path in (data / part / "labels").iterdir():  # one class only is refused
            cv2.imwrite(str(path), np.repeat(np.uint8([[3, 1]]), 60, axis=1).repeat(90, axis=0))
    arguments = ("train", "segnet_lite", "--data", str(data), "--folder", str(folder))
    card = run_json(capsys, *arguments, "--steps", "1")
    assert card["step"] == 1
    assert "not stated" in card["licence"]  # nothing is claimed about a user's own data
    assert (folder / "segnet_lite.safetensors").stat().st_size == card["bytes"]
    run_json(capsys, *arguments, "--steps", "2", "--resume")
    assert load_checkpoint(folder / "checkpoint.pt", "segnet_lite")["step"] == 2


def test_a_terminated_build_leaves_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipeline", "build", "segnet_lite", "--output", str(tmp_path)]
    root = Path(__file__).parents[2]
    process = subprocess.Popen(command, cwd=root, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    deadline = time.monotonic() + 300  # importing takes long where the disk is cold
    while not list(tmp_path.glob(".build-*")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 143
    assert b"Traceback" not in errors
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_network_is_one_line_with_the_nearest(capsys: Captured) -> None:
    assert "did you mean segnet?" in error_of(capsys, "build", "segnit")
    assert "did you mean segnet?" in error_of(capsys, "evaluate", "segnit", "--data", "somewhere")
    assert "did you mean segnet?" in error_of(capsys, "train", "segnit", "--data", "somewhere")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda xml: xml.with_suffix(".bin").write_bytes(b"x"), "cut or from another build"),
        (lambda xml: xml.write_bytes(xml.read_bytes()[::-1]), "damaged or was replaced"),
        (lambda xml: xml.with_suffix(".json").write_text("{"), "damaged"),
        (lambda xml: xml.with_suffix(".json").unlink(), "no manifest"),
    ],
)
def test_a_damaged_engine_is_one_line(
    capsys: Captured, engine: Path, damage: object, message: str
) -> None:
    damage(engine)  # type: ignore[operator]
    for command in ("run", "bench", "inspect"):
        extra = ("--source", "synthetic") if command == "run" else ()
        assert message in error_of(capsys, command, str(engine), *extra)


@pytest.mark.parametrize("what", ["nothing", "text", "empty", "no pictures"])
def test_a_source_that_is_none_is_one_line(
    capsys: Captured, engine: Path, tmp_path: Path, what: str
) -> None:
    path = tmp_path / "source"
    if what == "no pictures":
        path.mkdir()
    elif what != "nothing":
        path.write_text("" if what == "empty" else "hello")
    assert "source" in error_of(capsys, "run", str(engine), "--source", str(path))


def test_labels_that_are_missing_are_one_line(
    capsys: Captured, engine: Path, labelled: Path
) -> None:
    (labelled / "labels" / "1.png").unlink()
    line = error_of(capsys, "evaluate", str(engine), "--data", str(labelled))
    assert "1.png" in line


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("fly",),
        ("build",),
        ("build", "segnet", "--size", "480"),
        ("build", "segnet", "--precision", "fp12"),
        ("run", "engine", "--source", "synthetic", "--frames", "0"),
    ],
)
def test_wrong_usage_is_status_2(capsys: Captured, arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    errors = capsys.readouterr().err
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1
    assert "--help' lists the usage" in errors


def test_the_module_runs_from_a_shell(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "inspect", str(tmp_path / "no.engine")],
        capture_output=True,
        text=True,
        cwd=root,
        env=os.environ,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: engine ")
    assert len(done.stderr.splitlines()) == 1


def test_a_log_gets_a_line_per_stage_in_place_of_a_bar(capsys: pytest.CaptureFixture[str]) -> None:
    stages = ("calibrating, frame 1", "calibrating, frame 2", "compiled", "compiled")
    for quiet, written in ((False, "calibrating\ncompiled\n"), (True, "")):
        with step_bar(quiet) as progress:
            for share, what in enumerate(stages):
                progress(what, share / 4)
        assert capsys.readouterr().err == written


def test_a_log_gets_one_line_for_frames_that_are_gone_through(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for quiet, written in ((False, "evaluating 3 frames\n"), (True, "")):
        assert list(counted([1, 2, 3], "evaluating", 3, quiet)) == [1, 2, 3]
        assert capsys.readouterr().err == written
