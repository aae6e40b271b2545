"""The repository's promises about itself: ceilings, layers, pins, scripts, documents."""

from __future__ import annotations

import ast
import configparser
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from scripts.import_graph import cycles, entry_graph, file_graph

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("models", "calibration", "pipeline")
EXTRAS = ("build", "video", "rtx", "dev")  # the extras that scripts/environment.sh installs
SCRIPTS = sorted((ROOT / "scripts").glob("*.sh"))

MOST_LINES_OF_A_FILE = 300
MOST_LINES_OF_A_FUNCTION = 50
MOST_PARAMETERS = 6
MOST_ENTRIES = 12
MOST_TRACKED_BYTES = 64 * 2**20

#: Runtimes that exist only on some machines; the more files import them, the more can break.
RUNTIME_PACKAGES = (
    "openvino",
    "pycuda",
    "ray",
    "tensorrt",
    "tensorrt_rtx",
    "torch_tensorrt",
    "tritonclient",
)


def sources() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def place(path: Path, node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    return f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"


def parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    given = node.args
    names = [a.arg for a in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return len([name for name in names if name not in {"self", "cls"}])


def imported_packages(path: Path) -> set[str]:
    """Return top-level names that a file imports, also in functions and by ``import_module``."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
        elif isinstance(node, ast.Call) and "import_module" in ast.unparse(node.func):
            names.update(a.value for a in node.args if isinstance(a, ast.Constant))
    return {name.partition(".")[0] for name in names}


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    """Return the repository's files: tracked ones, and new ones that git does not ignore."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: nothing tells the project's files from others")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def test_no_file_is_longer_than_its_ceiling() -> None:
    lengths = {p: len(p.read_text(encoding="utf-8").splitlines()) for p in sources()}
    assert [f"{p}: {n} lines" for p, n in lengths.items() if n > MOST_LINES_OF_A_FILE] == []


def test_no_function_is_longer_than_its_ceiling() -> None:
    found = [(place(p, f), f.end_lineno - f.lineno + 1) for p in sources() for f in functions(p)]
    assert [f"{where}: {n} lines" for where, n in found if n > MOST_LINES_OF_A_FUNCTION] == []


def test_no_function_takes_more_parameters_than_its_ceiling() -> None:
    found = [(place(p, f), parameters(f)) for p in sources() for f in functions(p)]
    assert [f"{where}: {n} parameters" for where, n in found if n > MOST_PARAMETERS] == []


def test_no_module_has_a_name_that_says_nothing(tracked: list[Path]) -> None:
    empty = {"utils", "util", "helpers", "helper", "common", "misc"}
    assert [p for p in tracked if p.suffix == ".py" and {p.stem, p.parent.name} & empty] == []


def test_no_file_names_a_folder_of_one_machine(tracked: list[Path]) -> None:
    machine_path = re.compile(r"(?:^|[^\w.~])/(?:farm|home|root|Users|work)/")
    found = []
    for path in tracked:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # weights and pictures
        found += [f"{path}: {line}" for line in text.splitlines() if machine_path.search(line)]
    assert found == []


def test_the_files_of_the_repository_stay_small_enough_to_clone(tracked: list[Path]) -> None:
    assert sum(path.stat().st_size for path in tracked) <= MOST_TRACKED_BYTES


def test_no_file_imports_itself_by_way_of_others() -> None:
    files = file_graph(ROOT)
    assert len(files) == len(sources())
    assert cycles(files) == []
    assert cycles(entry_graph(files)) == []


def test_a_cycle_of_imports_is_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set()}
    assert cycles(graph) == [["b", "c"]]


def test_the_entries_of_pipeline_stay_few() -> None:
    entries = {path.stem for path in (ROOT / "pipeline").glob("[!_]*")}
    assert len(entries) == MOST_ENTRIES


def test_the_page_of_the_layout_leads_to_files_that_exist() -> None:
    text = (ROOT / "docs/decisions/012-layout.md").read_text(encoding="utf-8")
    table = text.partition("## Twenty questions")[2].partition("## Old to new")[0]
    rows = [line.split("|")[2] for line in table.splitlines() if line.startswith("| ")][2:]
    assert len(rows) == 20
    named = [name for row in rows for name in re.findall(r"`([\w/]+(?:\.py|/))`", row)]
    assert len(named) >= len(rows)
    places = {name: (ROOT / name, ROOT / "pipeline" / name) for name in named}
    assert [
        name for name, (top, inner) in places.items() if not (top.exists() or inner.exists())
    ] == []


def test_the_page_of_the_architecture_leads_to_files_that_exist() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1].strip(" `") for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) > 20
    assert [row for row in rows if not (ROOT / row).exists()] == []
    assert len(set(rows)) == len(rows), "each place once"


def test_no_tool_leaves_out_the_folders_named_build(tracked: list[Path]) -> None:
    """Git, ruff and pytest have their own rules against folders with this name."""
    wanted = {ROOT / "pipeline/build/build.py", ROOT / "tests/build/test_build.py"}
    assert wanted <= set(tracked)
    command = ["ruff", "check", "--show-files", "pipeline", "tests"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {str(path) for path in wanted} <= set(shown.splitlines())
    folders = configparser.ConfigParser()
    folders.read(ROOT / "setup.cfg")
    assert "build" not in folders["tool:pytest"]["norecursedirs"].split()


@pytest.mark.parametrize("package", RUNTIME_PACKAGES)
def test_a_runtime_is_imported_in_two_files_at_most(package: str) -> None:
    importing = [str(p.relative_to(ROOT)) for p in sources() if package in imported_packages(p)]
    assert len(importing) <= 2, importing


@pytest.mark.parametrize(
    "module",
    [
        "pipeline.stream.runner",
        "pipeline.runtimes.registry",
        "pipeline.stream.sources",
        "pipeline.stream.sinks",
        "pipeline.receiver",
        "pipeline.cli",
    ],
)
def test_the_camera_path_is_imported_without_torch(module: str) -> None:
    code = f"import {module}, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("pipeline.cli.parser", "numpy"),  # --help
        ("pipeline.cli.inspect", "numpy"),
        ("pipeline.runtimes", "numpy"),
        ("pipeline.stream", "cv2"),
        ("pipeline.receiver", "pipeline.stream.runner"),
    ],
)
def test_nobody_waits_for_what_they_do_not_use(module: str, absent: str) -> None:
    code = f"import {module}, sys; sys.exit({absent!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_comes_from_the_checkout_wherever_it_is_imported(
    package: str, tmp_path: Path
) -> None:
    code = f"import {package}; print({package}.__file__)"
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert Path(found.stdout.strip()) == ROOT / package / "__init__.py"


def test_the_installation_puts_no_package_into_site_packages() -> None:
    # Without setuptools' remains in the checkout, which list its sources.
    site = sysconfig.get_path("purelib")
    [installed] = importlib.metadata.distributions(name="roadseg", path=[site])
    assert installed.files
    tops = {path.parts[0] for path in installed.files}
    # `..` leads to the command `roadseg`.
    assert [top for top in tops if top != ".." and not top.endswith((".pth", ".dist-info"))] == []


def pins(name: str) -> dict[str, Requirement]:
    """Return the pins of a constraints file for this interpreter, by normalised name."""
    found: dict[str, Requirement] = {}
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            pin = Requirement(line)
            if pin.marker is None or pin.marker.evaluate():
                found[canonicalize_name(pin.name)] = pin
    return found


def environment_packages() -> dict[str, Version]:
    """Return the versions of all packages that the extras install, transitive ones included."""
    todo: list[tuple[str, tuple[str, ...]]] = [("roadseg", EXTRAS)]
    seen: set[tuple[str, tuple[str, ...]]] = set()
    found: dict[str, Version] = {}
    while todo:
        name, extras = todo.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        distribution = importlib.metadata.distribution(name)
        found[canonicalize_name(name)] = Version(distribution.version)
        for line in distribution.requires or []:
            need = Requirement(line)
            if need.marker is None or any(
                need.marker.evaluate({"extra": e}) for e in ("", *extras)
            ):
                todo.append((need.name, tuple(sorted(need.extras))))
    del found["roadseg"]
    return found


@pytest.mark.parametrize("name", sorted(path.name for path in ROOT.glob("constraints*.txt")))
def test_every_constraint_is_one_exact_version(name: str) -> None:
    exact = re.compile(r"==[^*,]+")
    assert [str(p) for p in pins(name).values() if not exact.fullmatch(str(p.specifier))] == []


def test_the_constraints_pin_every_package_of_the_environment() -> None:
    pinned = pins("constraints.txt")
    installed = environment_packages()
    assert sorted(installed.keys() - pinned.keys()) == []
    # `==2.13.0` admits 2.13.0+cpu, the build without CUDA.
    astray = {n: v for n, v in installed.items() if v not in pinned[n].specifier}
    assert astray == {}


def test_the_licence_is_the_one_that_the_metadata_names() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
    metadata = importlib.metadata.metadata("roadseg")
    assert metadata["License-Expression"] == "Apache-2.0 AND CC-BY-NC-4.0"


def readme_commands() -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [line.partition("#")[0].strip() for line in lines if line.partition("#")[0].strip()]


def test_the_scripts_that_the_readme_names_exist() -> None:
    named = {w for line in readme_commands() for w in line.split() if w.startswith("scripts/")}
    assert {"scripts/demo.sh", "scripts/check.sh"} <= named
    assert [name for name in sorted(named) if not os.access(ROOT / name, os.X_OK)] == []


def test_the_commands_that_the_readme_names_exist() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`roadseg ([a-z-]+)", text))
    assert named
    command = [sys.executable, "-m", "pipeline", "--help"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert sorted(named - set(re.findall(r"[\w-]+", listed))) == []


def test_ci_runs_the_test_command_of_the_readme() -> None:
    assert "scripts/check.sh" in readme_commands()
    assert "scripts/check.sh" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_can_be_started_and_stops_at_the_first_failure(script: Path) -> None:
    assert os.access(script, os.X_OK)
    assert "\nset -euo pipefail\n" in script.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["check.sh", "check_scale.sh", "demo.sh", "environment.sh"])
def test_a_script_explains_itself(name: str, tmp_path: Path) -> None:
    command = [str(ROOT / "scripts" / name), "--help"]
    helped = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert helped.stdout.startswith(f"usage: scripts/{name}")


def make_with(interpreter: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Run the environment script of an empty checkout, with a stand-in for Python."""
    for name in ("setup.cfg", "pyproject.toml", "constraints.txt", "scripts/environment.sh"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{interpreter}\n", encoding="utf-8")
    python.chmod(0o755)
    return subprocess.run(
        [str(tmp_path / "scripts" / "environment.sh")],
        env={**os.environ, "PYTHON": str(python)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("interpreter", "reason"),
    [
        ('case "$2" in *print*) echo 3.9 ;; *) exit 1 ;; esac', "is Python 3.9; 3.10 or newer"),
        ('case "$2" in *print*) echo 3.11 ;; *venv*) exit 1 ;; esac', "python3.11-venv"),
        ("exit 127", "does not run; Python 3.10 or newer"),
    ],
    ids=["too old", "without venv", "broken"],
)
def test_an_interpreter_that_cannot_make_the_environment_is_named_in_one_line(
    interpreter: str, reason: str, tmp_path: Path
) -> None:
    made = make_with(interpreter, tmp_path)
    assert made.returncode == 1
    assert made.stderr.startswith("error: ")
    assert reason in made.stderr
    assert made.stderr.count("\n") == 1
    assert not (tmp_path / ".venv").exists()
