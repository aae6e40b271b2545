"""What can be checked of the Jetson pages and scripts without a Jetson."""

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


def commands_of(text: str) -> list[str]:
    """Every ``roadseg ...`` line in a page's code blocks."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return re.findall(r"^(?:\S*/)?roadseg (.+)$", "\n".join(blocks), re.MULTILINE)


PAGES = ("README.md", "docs/jetson.md", "docs/foreign-networks.md", "docs/performance.md")
COMMANDS = [
    (page, command)
    for page in PAGES
    if (ROOT / page).exists()
    for command in commands_of((ROOT / page).read_text(encoding="utf-8"))
]


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_every_command_of_a_page_is_one_of_ours(page: str, command: str) -> None:
    parse_arguments(shlex.split(command, comments=True))


def test_pages_with_commands_are_found() -> None:
    assert {"docs/jetson.md"} <= {page for page, _ in COMMANDS}


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
