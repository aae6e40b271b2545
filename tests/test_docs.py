"""Every page: its links have targets, its commands are ours, and those that can run here, run."""

from __future__ import annotations

import json
import platform
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest
import yaml
from foreign_networks import SmallNet, class_file, export, made

from pipeline.cli import main
from pipeline.cli.parser import parse_arguments
from pipeline.engine.manifest import Engine
from pipeline.stream.sources import open_source
from pipeline.stream.zones import read_zones

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]

#: Words after ```sh in a page's code block: requirements of its commands that no test has.
MARKS = {"jetson", "gpu", "camera", "network"}

#: Other people's programs, as far as pages name them.
OTHERS = {"git", "cd", "sudo", "pip", "docker", "uv", "ssh", "journalctl"}


@dataclass(frozen=True)
class Command:
    """A line of a code block: ``marks`` are the words after its ```sh."""

    page: str
    text: str
    marks: frozenset[str]

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text, comments=True)

    @property
    def program(self) -> str:
        return Path(self.words[0]).name


def blocks(page: Path, languages: tuple[str, ...]) -> list[tuple[list[str], str]]:
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"^```([^\n`]*)\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    return [(info.split(), body) for info, body in found if info.split()[:1] and
            info.split()[0] in languages]  # fmt: skip


COMMANDS = [
    Command(str(page.relative_to(ROOT)), line.strip(), frozenset(info[1:]))
    for page in PAGES
    for info, body in blocks(page, ("sh", "bash"))
    for line in body.replace("\\\n", " ").splitlines()
    if line.strip() and not line.startswith("#")
]
OURS = [one for one in COMMANDS if one.program == "roadseg"]


def named(command: Command) -> str:
    return f"{command.page}: {command.text[:70]}"


def slug(heading: str) -> str:
    """A heading's anchor, as GitHub makes it."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    kept = "".join(one for one in plain.lower() if one.isalnum() or one in " -_")
    return kept.strip().replace(" ", "-")


def anchors(page: Path) -> set[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.M)
    return {slug(heading) for heading in re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        parts = urlsplit(target)
        if parts.scheme in {"http", "https"}:
            continue  # external: tests have no network
        file = (page.parent / parts.path).resolve() if parts.path else page
        known = anchors(file) if file.suffix == ".md" and file.is_file() else set()
        if not file.exists() or (parts.fragment and parts.fragment not in known):
            broken.append(target)
    assert broken == []


def test_a_broken_link_and_a_wrong_anchor_are_seen() -> None:
    assert "the-gate" in anchors(ROOT / "docs/performance.md")
    assert "the-door" not in anchors(ROOT / "docs/performance.md")
    assert slug("INT8, and `why`: [a page](x.md)") == "int8-and-why-a-page"


def test_the_index_has_every_page_and_the_readme_has_the_index() -> None:
    index = (ROOT / "docs/README.md").read_text(encoding="utf-8")
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert pages <= set(re.findall(r"\]\(([\w-]+\.md)\)", index))
    assert "(docs/README.md)" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_picture_of_the_pages_is_shown_by_one() -> None:
    shown = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    pictures = [
        path for path in (ROOT / "docs").iterdir() if path.suffix in {".jpg", ".svg", ".webp"}
    ]
    assert [path.name for path in pictures if path.name not in shown] == []


@pytest.mark.parametrize("command", OURS, ids=named)
def test_every_command_of_a_page_is_one_of_ours(command: Command) -> None:
    parse_arguments(command.words[1:])


@pytest.mark.parametrize("command", [one for one in COMMANDS if one not in OURS], ids=named)
def test_every_other_command_is_a_script_or_a_program_that_pages_may_name(command: Command) -> None:
    if command.words[0].startswith((".venv/bin/", "scripts/")):
        program = ROOT / command.words[0]
        in_environment = shutil.which(command.program) is not None
        assert (
            in_environment
            if command.words[0].startswith(".venv")
            else program.stat().st_mode & 0o100
        )
    else:
        assert command.program in OTHERS
    for word in command.words[1:]:
        if word.startswith(("docker/", "benchmarks/", "tests/")):
            assert (ROOT / word.partition("::")[0]).exists(), word


def test_marks_are_known_and_say_what_hardware_commands_need() -> None:
    assert {mark for one in COMMANDS for mark in one.marks} <= MARKS
    unmarked = [one for one in COMMANDS if not one.marks]
    for one in unmarked:
        assert one.program != "sudo", one
        assert "--source 0" not in one.text, one
        assert "csi" not in one.words, one


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_engine: Engine) -> Path:
    """A folder with the files that pages name: a drive, zones, and an engine under each name."""
    monkeypatch.chdir(tmp_path)
    drive = cv2.VideoWriter("drive.mp4", cv2.VideoWriter.fourcc(*"mp4v"), 10, (128, 96))
    for grey in (40, 120, 200):
        drive.write(np.full((96, 128, 3), grey, np.uint8))
    drive.release()
    page = blocks(ROOT / "docs/zones.md", ("yaml",))[0][1]
    (tmp_path / "zones.yaml").write_text(page, encoding="utf-8")
    return tmp_path


RUN = [
    one for one in OURS if not one.marks and one.words[1] in {"run", "bench", "doctor", "models"}
]


@pytest.mark.parametrize("command", RUN, ids=named)
def test_what_a_page_runs_runs(command: Command, place: Path, small_engine: Engine) -> None:
    """With a small engine instead of the named one, and three frames."""
    words = command.words[1:]
    if words[0] in {"run", "bench"}:
        words[1] = str(small_engine.path)
    if words[0] == "bench":
        if "--min-fps" in words:
            words[words.index("--min-fps") + 1] = "0.001"
        words += ["--runs", "3", "--clip", "0", "--no-limit"]
    if words[0] == "run":
        words += ["--frames", "3"]
    assert main(words) == 0
    outputs = [word for word in words if word.startswith("outputs/")]
    assert [word for word in outputs if not Path(word).is_file()] == []


BUILD = [one for one in OURS if not one.marks and one.words[1] == "build"]


@pytest.mark.slow
@pytest.mark.parametrize("command", BUILD, ids=named)
def test_what_a_page_builds_is_built(command: Command, place: Path) -> None:
    """With a small ONNX file instead of a user's, and a small size for our own networks."""
    words = command.words[1:]
    if "--onnx" in words:
        export(made(SmallNet), place / words[words.index("--onnx") + 1])
        class_file(place).rename(place / words[words.index("--classes") + 1])
    else:
        words += ["--size", "96x64"]  # there is no calibration table for it
        words[words.index("int8")] = "fp16"
    if "--calibration" in words:
        folder = place / words[words.index("--calibration") + 1]
        folder.mkdir()
        with open_source("synthetic:128x96") as drive:
            for number in range(16):
                frame = drive.read()
                assert frame is not None
                cv2.imwrite(str(folder / f"{number}.png"), frame.image)
    assert main([*words, "--quiet"]) == 0
    built = [path.suffix for path in (place / "engines").iterdir()]
    assert (".zip" if "--bundle" in words else ".json") in built


def test_commands_are_run_at_all() -> None:
    assert {one.words[1] for one in RUN} >= {"run", "bench", "doctor"}
    assert len(BUILD) >= 4
    rest = {one.text for one in OURS if not one.marks} - {one.text for one in (*RUN, *BUILD)}
    assert {text.split()[1] for text in rest} == {"train"}  # tests/cli/test_train.py trains


def test_the_zones_of_the_page_are_read_and_its_message_is_what_is_sent(tmp_path: Path) -> None:
    text = blocks(ROOT / "docs/zones.md", ("yaml",))[0][1]
    path = tmp_path / "zones.yaml"
    path.write_text(text, encoding="utf-8")
    described = read_zones(path)
    assert [zone.name for zone in described.zones] == ["crossing", "our lane"]
    message = json.loads(blocks(ROOT / "docs/zones.md", ("json",))[0][1])
    source = (ROOT / "pipeline/stream/sinks/zones.py").read_text(encoding="utf-8")
    assert [key for key in message if f'"{key}"' not in source] == []


def workflow() -> str:
    [(_, text)] = blocks(ROOT / "docs/ci.md", ("yaml",))
    return text


def test_the_workflow_is_one_that_github_takes(tmp_path: Path) -> None:
    path = tmp_path / "engine.yml"
    path.write_text(workflow(), encoding="utf-8")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema"]
    command += ["vendor.github-workflows"]
    checked = subprocess.run([*command, str(path)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    path.write_text(workflow().replace("runs-on:", "run-on:"), encoding="utf-8")
    assert subprocess.run([*command, str(path)], capture_output=True, check=False).returncode == 1


def test_the_workflow_runs_commands_of_ours_on_the_engine_that_it_built() -> None:
    [job] = yaml.safe_load(workflow())["jobs"].values()
    ours = [shlex.split(step["run"]) for step in job["steps"] if "roadseg " in step.get("run", "")]
    build, bench = (parse_arguments(words[1:]) for words in ours)
    assert (build.command, bench.command) == ("build", "bench")
    assert bench.engine.parent == build.output
    assert bench.engine.name == f"{build.model}-openvino-{build.precision}.xml"
    kept = next(step for step in job["steps"] if "upload-artifact" in step.get("uses", ""))
    assert str(bench.junit) in kept["with"]["path"]


@pytest.mark.parametrize("path", sorted((ROOT / "docker").iterdir()), ids=lambda path: path.name)
def test_a_dockerfile_has_no_fault_that_a_linter_sees(path: Path) -> None:
    if platform.machine() != "x86_64":
        pytest.skip("hadolint has no package for this kind of machine")
    hadolint = Path(sys.executable).parent / "hadolint"
    command = [str(hadolint), str(path)]
    linted = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert linted.returncode == 0, linted.stdout
    assert "has not been built by this project" in path.read_text(encoding="utf-8")
