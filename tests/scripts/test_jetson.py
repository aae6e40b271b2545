"""Checks of the Jetson scripts that need no Jetson; for its page see ``test_docs``."""

from __future__ import annotations

import configparser
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from pipeline.cli.parser import parse_arguments

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "scripts" / "jetson"


def test_the_unit_starts_a_camera_that_rebuilds_its_engine() -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(SCRIPTS / "roadseg.service")
    service = unit["Service"]
    program, *arguments = shlex.split(service["ExecStart"])
    folder = service["WorkingDirectory"]
    assert program == f"{folder}/.venv/bin/roadseg"
    options = parse_arguments(arguments)
    assert options.command == "run"
    assert options.source == ["csi"]
    assert options.rebuild
    assert f"{folder}/{Path(options.engine).parent}" == service["ReadWritePaths"]
    started = service["ExecStartPre"].lstrip("-+")
    assert (ROOT / Path(started).relative_to(folder)).stat().st_mode & 0o100


@pytest.mark.parametrize("script", ["setup.sh", "performance.sh"])
def test_scripts_refuse_other_machines_in_one_line(script: str) -> None:
    model = Path("/proc/device-tree/model")
    if model.exists() and "jetson" in model.read_text(errors="replace").lower():
        pytest.skip("this is a Jetson, which the scripts would change")
    done = subprocess.run([SCRIPTS / script], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert re.fullmatch(r"error: .*no Jetson.*\n", done.stderr)


@pytest.mark.parametrize("script", ["setup.sh", "performance.sh"])
def test_scripts_explain_themselves(script: str) -> None:
    done = subprocess.run([SCRIPTS / script, "--help"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0
    assert done.stdout.startswith("usage: ")


#: Power modes as the boards' own files list them, and the one without limits.
BOARDS = {
    "Orin Nano Super": (["0 15W", "1 25W", "2 MAXN_SUPER", "3 7W"], "2"),
    "AGX Orin": (["0 MAXN", "1 MODE_15W", "2 MODE_30W", "3 MODE_50W"], "0"),
    "a board without": (["0 10W", "1 20W"], None),
}


def on_a_board(folder: Path, modes: list[str], *arguments: str) -> tuple[int, str, str]:
    """Run performance.sh where nvpmodel and jetson_clocks only report how they were called."""
    lines = [f"< POWER_MODEL ID={m.split()[0]} NAME={m.split()[1]} >\nCPU_ONLINE 1" for m in modes]
    (folder / "nvpmodel.conf").write_text("\n".join(["< PARAM TYPE=FILE NAME=X >", *lines, ""]))
    for program in ("nvpmodel", "jetson_clocks"):
        (folder / program).write_text(f'#!/bin/sh\necho {program} "$@"\n')
        (folder / program).chmod(0o755)
    # Tests may run as administrator or not; the script asks bash, so the copy has the answer 0.
    script = (SCRIPTS / "performance.sh").read_text().replace("$EUID", "0")
    (folder / "performance.sh").write_text(script)
    done = subprocess.run(
        ["bash", folder / "performance.sh", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        env={"PATH": f"{folder}:/usr/bin:/bin", "NVPMODEL_CONF": str(folder / "nvpmodel.conf")},
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("board", BOARDS)
def test_the_power_mode_without_limits_is_the_boards_own(tmp_path: Path, board: str) -> None:
    modes, highest = BOARDS[board]
    status, out, _ = on_a_board(tmp_path, modes)
    assert status == 0
    asked = [line for line in out.splitlines() if line.startswith("nvpmodel -m")]
    assert asked == ([f"nvpmodel -m {highest}"] if highest else [])  # a set mode is never lowered
    assert "jetson_clocks" in out


def test_a_power_mode_is_named_or_refused_with_those_that_there_are(tmp_path: Path) -> None:
    modes, _ = BOARDS["Orin Nano Super"]
    assert "nvpmodel -m 1" in on_a_board(tmp_path, modes, "25W")[1]
    status, _, told = on_a_board(tmp_path, modes, "9")
    assert status == 1
    given = "error: power mode '9' was given, expected one of this board's"
    assert re.fullmatch(given + r": 0 15W, 1 25W, 2 MAXN_SUPER, 3 7W\n", told)


def test_the_environment_has_what_the_camera_path_and_the_page_need() -> None:
    """Everything except what JetPack installs and the runtime for CPUs."""
    setup = configparser.ConfigParser(interpolation=None)
    setup.read(ROOT / "setup.cfg")
    needed = setup["options"]["install_requires"].split()
    needed += setup["options.extras_require"]["page"].split()
    for path in (SCRIPTS / "setup.sh", ROOT / "docker/jetson.Dockerfile"):
        installed = path.read_text(encoding="utf-8").split()
        assert set(needed) - {"opencv-python", "openvino"} <= set(installed), path
