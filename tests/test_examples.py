"""``examples/``: each script runs as its first lines describe."""

from __future__ import annotations

import re
import runpy
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from foreign_networks import SmallNet, class_file, export, made

from models.classes import ClassSet
from models.registry import build_model, model_spec
from models.weights import save_weights
from pipeline.engine.manifest import Engine

EXAMPLES = Path(__file__).parents[1] / "examples"

Run = Callable[..., list[str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run an example in a user's folder; return the lines that it prints."""
    monkeypatch.chdir(tmp_path)

    def run(name: str, *arguments: object) -> list[str]:
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out.splitlines()

    return run


@pytest.fixture
def street(tmp_path: Path) -> Path:
    path = tmp_path / "street.png"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8))
    return path


def test_each_example_has_a_test_and_says_how_it_is_started() -> None:
    tested = set(re.findall(r'run\("(\w+\.py)"', Path(__file__).read_text(encoding="utf-8")))
    assert {path.name for path in EXAMPLES.iterdir() if path.is_file()} == tested
    for name in tested:
        assert f"\npython examples/{name} " in (EXAMPLES / name).read_text(encoding="utf-8")


def test_picture(run: Run, street: Path, small_engine: Engine) -> None:
    lines = run("picture.py", street, small_engine.path)
    assert len(lines) == 11
    assert cv2.imread("overlay.png") is not None


def test_camera(run: Run, street: Path, small_engine: Engine) -> None:
    lines = run("camera.py", "synthetic:160x120", small_engine.path, 3)
    assert len(lines) == 3
    assert all(re.fullmatch(r"frame \d+: \d+% road", line) for line in lines)


def test_zone(run: Run, street: Path, small_engine: Engine) -> None:
    [line] = run("zone.py", street, small_engine.path, "Road")
    assert re.fullmatch(r"frame 0: \d+ pixels of Road in the zone", line)


def test_own_onnx(run: Run, street: Path, tmp_path: Path) -> None:
    network = export(made(SmallNet), tmp_path / "net.onnx")
    [line] = run("own_onnx.py", network, class_file(tmp_path), street)
    assert re.fullmatch(r"engines/net-openvino-fp32\.xml class \d+", line)


@pytest.mark.slow
def test_own_classes(run: Run, street: Path, tmp_path: Path) -> None:
    classes = ClassSet(("lane", "kerb"), ((255, 0, 0), (0, 255, 0)))
    spec = replace(model_spec("segnet_lite"), classes=classes)
    weights = tmp_path / "mine.safetensors"
    save_weights(weights, spec, build_model(spec).state_dict())
    assert run("own_classes.py", weights, street) == ["knows lane, kerb"]
    assert cv2.imread("overlay.png") is not None


def test_the_example_of_the_readme(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_engine: Engine
) -> None:
    """With an existing engine, and without the last line, whose build takes minutes."""
    text = (EXAMPLES.parent / "README.md").read_text(encoding="utf-8")
    [block] = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    code, build = block.rstrip().rsplit("\n", 1)
    assert build == 'roadseg.build("segnet", precision="int8")'
    assert '"segnet_lite"' in code
    monkeypatch.chdir(tmp_path)
    drive = cv2.VideoWriter("drive.mp4", cv2.VideoWriter.fourcc(*"mp4v"), 10, (128, 96))
    drive.write(np.zeros((96, 128, 3), np.uint8))
    drive.release()
    seen: dict[str, object] = {"frame": np.zeros((90, 120, 3), np.uint8)}
    exec(code.replace("segnet_lite", str(small_engine.path)), seen)
    assert seen["result"].index == 0  # type: ignore[attr-defined]
