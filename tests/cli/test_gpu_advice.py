"""``doctor`` prints the one command that installs TensorRT for the GPU that it sees."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest

from pipeline.cli.doctor import gpu_install

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("name", "capability", "extra"),
    [
        ("NVIDIA GeForce RTX 4090", "8.9", "rtx"),
        ("NVIDIA GeForce RTX 5090", "12.0", "rtx"),
        ("NVIDIA H200", "9.0", "tensorrt"),
        ("NVIDIA A100-SXM4-80GB", "8.0", "tensorrt"),
        ("NVIDIA L4", "8.9", "tensorrt"),
        ("NVIDIA B200", "10.0", "tensorrt"),
    ],
)
def test_one_command_for_the_gpu_at_hand(name: str, capability: str, extra: str) -> None:
    (line,) = gpu_install([{"name": name, "compute_capability": capability}])
    assert line.startswith(f"{name}: scripts/install_pycuda.sh && ")
    assert f"-e '.[{extra}]'" in line
    found = configparser.ConfigParser(interpolation=None)
    found.read(ROOT / "setup.cfg")
    assert extra in found["options.extras_require"]
    assert (ROOT / "scripts/install_pycuda.sh").stat().st_mode & 0o100
    (page,) = re.findall(r"\((docs/\S+)\)", line)
    assert (ROOT / page).exists()


def test_a_jetson_has_a_script_and_a_machine_without_a_gpu_no_line() -> None:
    (line,) = gpu_install([{"name": "NVIDIA Jetson Orin Nano", "driver": "", "memory": ""}])
    assert "scripts/jetson/setup.sh" in line
    assert gpu_install([]) == []


def test_each_torch_tensorrt_has_an_extra_of_its_own() -> None:
    found = configparser.ConfigParser(interpolation=None)
    found.read(ROOT / "setup.cfg")
    extras = found["options.extras_require"]
    assert re.search(r"^torch-tensorrt==", extras["torch-tensorrt"].strip(), re.MULTILINE)
    assert "torch-tensorrt-rtx" not in extras["torch-tensorrt"]
    assert extras["torch-tensorrt-rtx"].strip().startswith("torch-tensorrt-rtx;")
    assert extras["tensorrt"].strip().startswith("tensorrt>=")
