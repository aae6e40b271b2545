"""``pip install .`` into an empty environment, and use next to packages of the same names."""

from __future__ import annotations

import json
import shutil
import zipfile
from dataclasses import replace
from email.parser import Parser
from pathlib import Path

import pytest
from installed import Installed

from models.registry import model_spec
from pipeline.engine.manifest import Engine, write_manifest

# One worker builds the wheel, the others reuse it.
pytestmark = pytest.mark.xdist_group("wheel")


@pytest.fixture
def engine(installed: Installed, small_engine: Engine) -> Path:
    """A small engine in the user's folder."""
    folder = installed.folder / "engines"
    shutil.copytree(small_engine.folder, folder, dirs_exist_ok=True)
    return folder / small_engine.path.name


def test_the_wheel_holds_one_package_with_all_that_it_needs(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        [metadata] = [name for name in names if name.endswith("METADATA")]
        fields = Parser().parsestr(archive.read(metadata).decode())
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"roadseg"}
    wanted = {
        "roadseg/__init__.py",
        "roadseg/py.typed",
        "roadseg/models/trained/segnet.safetensors",
        "roadseg/models/trained/segnet.calibration.json",
        "roadseg/models/speeds.json",
        "roadseg/models/trained/LICENSE",
        "roadseg/pipeline/stream/web/static/index.html",
        "roadseg/pipeline/quantization/report/templates/report.html",
        "roadseg/pipeline/runtimes/tensorrt/cuda/overlay.cu",
    }
    assert wanted - set(names) == set()
    assert fields["License-Expression"] == "Apache-2.0 AND CC-BY-NC-4.0"
    assert "models/trained/LICENSE" in fields.get_all("License-File", [])


def test_the_command_works_where_packages_of_the_user_have_our_names(
    installed: Installed, engine: Path
) -> None:
    run = installed
    assert run("--version").stdout.startswith("roadseg ")
    assert "openvino" in run("doctor").stdout
    listed = json.loads(run("models", "--json").stdout)["models"]
    assert "segnet" in [row["name"] for row in listed]
    done = run(
        "run", str(engine), "--source", "synthetic:160x120", "--frames", "3",
        "--sink", "masks", "--sink", "out.jsonl", "--json",
    )  # fmt: skip
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["frames"] == 3
    assert report["weights_licence"].startswith("CC BY-NC 4.0")
    assert len(list((run.folder / "masks").glob("*.png"))) == 3


def test_a_program_uses_the_api_beside_packages_of_our_names(
    installed: Installed, engine: Path
) -> None:
    program = f"""
import sys
import models, pipeline
import roadseg
assert not [name for name in sys.modules if name.startswith("roadseg.")], "imports are lazy"
import numpy as np
with roadseg.load("{engine}") as net:
    result = net(np.zeros((90, 120, 3), np.uint8))
    assert result.classes.shape == (90, 120)
assert models.MINE and pipeline.MINE
assert "roadseg.models.errors" in sys.modules and "models.errors" not in sys.modules
print(net.classes.names[0])
"""
    assert installed("python", "-c", program).stdout == "Sky\n"


def test_without_torch_a_network_whose_engine_is_there_runs_and_another_is_one_line(
    installed: Installed, small_engine: Engine
) -> None:
    run = installed
    folder = run.cache / "engines"
    shutil.copytree(small_engine.folder, folder)
    manifest = replace(
        small_engine.manifest,
        name="segnet_lite-openvino-fp32",
        input=model_spec("segnet_lite").input,
    )
    write_manifest(folder, manifest)
    source = ("--source", "synthetic:160x120", "--frames", "2", "--precision", "fp32")
    line = run("run", "segnet", *source, status=1).stderr.splitlines()[-1]
    assert line.startswith("error: building an engine needs PyTorch")
    assert "pip install 'roadseg[build]'" in line
    program = 'import roadseg; print(roadseg.load("segnet_lite", "fp32").precision)'
    assert run("python", "-c", program).stdout == "fp32\n"
