"""``scripts/train_zoo.sh``: trainings at once, stopped by the time, continued, failed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from models.pretrained import ENCODERS
from models.registry import MODELS, model_spec
from models.weights import registered_weights
from scripts.zoo_training.__main__ import chosen, cost, start_of

ROOT = Path(__file__).parents[2]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two labelled pictures for training and two for validation."""
    random = np.random.default_rng(0)
    for part in ("train", "val"):
        for kind, shape in (("images", (90, 120, 3)), ("labels", (90, 120))):
            folder = tmp_path / "data" / part / kind
            folder.mkdir(parents=True)
            for name in ("a", "b"):
                picture = random.integers(0, 11, shape, dtype=np.uint8)
                cv2.imwrite(str(folder / f"{name}.png"), picture)
    return tmp_path / "data"


def train_zoo_command(data: Path, *arguments: str) -> dict[str, Any]:
    return {
        "args": [str(ROOT / "scripts" / "train_zoo.sh"), "--data", str(data), *arguments],
        "cwd": data.parent,
        "env": {**os.environ, "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"},
    }


def train_zoo(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        capture_output=True, text=True, timeout=300, **train_zoo_command(data, *arguments)
    )


@pytest.mark.slow
def test_two_at_once_are_trained_and_then_skipped(data: Path) -> None:
    networks = ("unet_lite", "segnet_basic")
    done = train_zoo(data, *networks, "--at-once", "2", "--steps", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert lines.keys() == set(networks)
    assert all(line.startswith("val mIoU ") for line in lines.values())
    weights = data.parent / "runs" / "segnet_basic" / "segnet_basic.safetensors"
    written = weights.stat().st_mtime_ns
    again = train_zoo(data, *networks, "--at-once", "2", "--steps", "1")
    assert again.stdout == done.stdout
    assert weights.stat().st_mtime_ns == written


@pytest.mark.slow
def test_ctrl_c_saves_what_runs_and_the_same_command_goes_on(data: Path) -> None:
    folder = data.parent / "runs"
    log = folder / "unet_lite.log"

    def stopped_when(ready: Callable[[], bool]) -> dict[str, str]:
        command = train_zoo_command(data, "unet_lite", "segnet_basic", "--steps", "100000")
        with subprocess.Popen(stdout=subprocess.PIPE, text=True, **command) as process:
            patience = time.monotonic() + 240
            while not ready():
                assert process.poll() is None
                assert time.monotonic() < patience, log.read_text()
                time.sleep(0.1)
            process.send_signal(signal.SIGINT)
            told, _ = process.communicate(timeout=240)
        assert process.returncode == 0
        return dict(line.split(": ", 1) for line in told.splitlines())

    lines = stopped_when((folder / "unet_lite" / "checkpoint.pt").exists)
    assert lines["segnet_basic"] == "not begun"
    assert lines["unet_lite"].startswith("stopped after step ")
    lines = stopped_when(lambda: "resumed at step" in log.read_text())
    assert lines["unet_lite"].startswith("stopped after step ")
    [resumed] = [line for line in log.read_text().splitlines() if "resumed at step" in line]
    first, second = (line for line in log.read_text().splitlines() if line.startswith("stopped"))
    assert resumed.split()[-1] == first.split()[3]
    assert int(second.split()[3]) >= int(first.split()[3])


def test_without_time_nothing_begins(data: Path) -> None:
    done = train_zoo(data, "unet_lite", "--minutes", "0")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == "unet_lite: not begun\n"


def test_a_failed_training_is_one_line(data: Path) -> None:
    done = train_zoo(data.parent / "nowhere", "segnet_basic")
    assert done.returncode == 1
    [line] = done.stdout.splitlines()
    assert line.startswith("segnet_basic: failed, error: ")
    assert "nowhere" in line


def test_an_unknown_network_is_one_line(data: Path) -> None:
    done = train_zoo(data, "segment")
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "segment" in line


def test_what_has_no_weights_is_trained_the_cheapest_first() -> None:
    names = chosen([])
    assert names
    assert all(registered_weights(name) is None for name in names)
    assert [cost(name) for name in names] == sorted(map(cost, names))


@pytest.mark.parametrize("name", MODELS)
def test_every_start_can_be_had(name: str) -> None:
    start = start_of(name)
    if start == ["--encoder-weights", "published"]:
        encoder = ENCODERS[str(model_spec(name).encoder)]
        assert encoder.package or encoder.url
    elif start:
        assert registered_weights(start[1])
    vgg16 = start_of(name, "vgg16.pth")
    is_vgg16 = str(model_spec(name).encoder).startswith("vgg16") and name != "deconvnet_lite"
    assert (vgg16 == ["--encoder-weights", "vgg16.pth"]) == is_vgg16
