"""``doctor`` prints the one command that installs TensorRT for the detected GPU."""

from __future__ import annotations

import ast
import configparser
import re
from pathlib import Path

import pytest

from models import install
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
    assert line.startswith(f"{name}: scripts/install_pycuda.sh and ")
    assert f"-e '.[{extra}]'" in line
    found = configparser.ConfigParser(interpolation=None)
    found.read(ROOT / "setup.cfg")
    assert extra in found["options.extras_require"]
    assert (ROOT / "scripts/install_pycuda.sh").stat().st_mode & 0o100
    assert (ROOT / "constraints.txt").exists()


def test_what_is_installed_from_a_wheel_needs_no_file_of_the_checkout(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(install, "_ROOT", tmp_path)
    (line,) = gpu_install([{"name": "NVIDIA GeForce RTX 4090", "compute_capability": "8.9"}])
    lines = [line, install.install_package("onnx"), install.use_torch_tensorrt()]
    assert "pip install 'roadseg[rtx]'" in line
    assert lines[1] == "pip install onnx"
    assert not [one for one in lines if "constraints" in one or "scripts/" in one]


def test_no_message_names_a_file_of_the_checkout_by_itself() -> None:
    """Only ``models/install.py`` does, after checking that it exists; a Jetson has a checkout."""
    named = re.compile(r"constraints\.txt|scripts/(?!jetson)\w+")
    found = []
    for package in ("pipeline", "calibration", "models"):
        for path in (ROOT / package).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            spoken = {id(part) for node in ast.walk(tree) for part in documentation(node)}
            found += [
                f"{path.relative_to(ROOT)}:{node.lineno} {node.value}"
                for node in ast.walk(tree)
                if isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and id(node) not in spoken
                and named.search(node.value)
                and path != ROOT / "models/install.py"
            ]
    assert found == []


def documentation(node: ast.AST) -> list[ast.AST]:
    """Return the docstring of a node that has one."""
    if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) or not node.body:
        return []
    first = node.body[0]
    return [first.value] if isinstance(first, ast.Expr) else []


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
