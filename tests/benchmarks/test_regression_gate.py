"""The FPS gate: its rule on recorded turns, and its run on two commits of a small checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from benchmarks.regression.decision import is_worse, ratio
from benchmarks.regression.history import page, read
from benchmarks.regression.work import Figure

ROOT = Path(__file__).parents[2]
#: Bursts of ``segnet_lite`` INT8, in turns: head, base, and the head with added work; four times
#: with new processes, on an idle machine and next to a process that uses a whole core.
TURNS = json.loads((ROOT / "tests/data/fps_turns.json").read_text(encoding="utf-8"))
RESAMPLES = 1000


def alarms(head: str, planted: float, busy: bool, turns: int = 48) -> float:
    """Share of resamples in which the rule finds a loss: twice, each time in other processes."""
    recorded = [one for one in TURNS if (one["planted_work"], one["busy"]) == (planted, busy)]
    assert len(recorded) >= 2
    generator = np.random.default_rng(0)
    found = 0
    for _ in range(RESAMPLES):
        chosen = generator.choice(len(recorded), 2, replace=False)
        ratios = []
        for place, count in zip(chosen, (turns, 2 * turns), strict=True):
            places = generator.integers(0, len(recorded[place]["base"]), count)
            ratios.append(ratio(*(np.asarray(recorded[place][s])[places] for s in (head, "base"))))
        found += ratios[0].looks_slower and ratios[1].is_slower
    return found / RESAMPLES


@pytest.mark.parametrize(("planted", "busy"), [(0.05, False), (0.10, True)])
def test_an_unchanged_tree_gives_no_alarm(planted: float, busy: bool) -> None:
    assert alarms("head", planted, busy) <= 0.01


@pytest.mark.parametrize(("planted", "busy"), [(0.05, False), (0.10, True)])
def test_planted_work_is_found(planted: float, busy: bool) -> None:
    assert alarms("planted", planted, busy) >= 0.95


@pytest.mark.parametrize(
    ("figure", "head", "base", "worse"),
    [
        (Figure("kernels", float), 90, 89, True),
        (Figure("kernels", float), 89, 90, False),
        (Figure("%", float, higher=True), 57.69, 57.7, True),
        (Figure("%", float, higher=True), 57.7, 57.7, False),
        (Figure("MB", float, tolerance=0.02), 20.3, 20.0, False),
        (Figure("MB", float, tolerance=0.02), 20.5, 20.0, True),
    ],
)
def test_figures_are_compared_exactly_or_within_their_tolerance(
    figure: Figure, head: float, base: float, worse: bool
) -> None:
    assert is_worse(figure, head, base) is worse


#: Replaces ``work.py``: its measurements are in ``speeds.json`` among the checkout's files.
WORK = """
import json
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RUNTIMES = {"openvino": {"int8": 8}}
LISTED = "tensorrt-rtx list: "
Burst = object

@dataclass(frozen=True)
class Figure:
    unit: str
    measure: object
    higher: bool = False
    tolerance: float = 0.0

def burst(seconds, state=[0]):
    state[0] += 1
    return seconds * (1 + 0.002 * (state[0] % 3))

class Catalogue:
    def __init__(self, runtime, folder):
        found = json.loads((ROOT / "speeds.json").read_text())
        self.times = {name: lambda s=s: lambda: burst(s) for name, s in found["times"].items()}
        self.figures = {name: Figure("units", lambda v=v: v, higher=name == "mIoU")
                        for name, v in found["figures"].items()}
"""
CONFTEST = """
from benchmarks.regression.plugin import (
    add_options as pytest_addoption,
    pytest_benchmark_update_json, pytest_collection_modifyitems, pytest_configure,
    pytest_terminal_summary,
)
"""
USUAL = {
    "times": {"net latency": 0.010, "draw": 0.002},
    "figures": {"net bytes": 1500.0, "mIoU": 57.7, "tensorrt-rtx list: net kernels": 67.0},
}


@dataclass
class Checkout:
    """A small project with the gate in it."""

    root: Path

    def git(self, *arguments: str) -> str:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        command = ["git", *identity, *arguments]
        return subprocess.run(
            command, cwd=self.root, check=True, capture_output=True, text=True
        ).stdout.strip()

    def commit(self, speeds: dict[str, dict[str, float]], **files: str) -> str:
        """Commit a state of the project, and return its hash."""
        (self.root / "speeds.json").write_text(json.dumps(speeds))
        for name, text in files.items():
            (self.root / name.replace("__", "/").replace("_txt", ".txt")).write_text(text)
        self.git("add", "-A")
        self.git("commit", "-qm", "state", "--allow-empty")
        return self.git("rev-parse", "HEAD")

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        # Without the variables that a test run in several processes sets for itself.
        environment = {key: text for key, text in os.environ.items() if "PYTEST" not in key}
        environment["PYTHONPATH"] = str(self.root)
        environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # a second less for each run
        environment.pop("ROADSEG_DATA", None)
        return subprocess.run(
            [sys.executable, "-m", *command],
            cwd=self.root, env=environment, capture_output=True, text=True,
        )  # fmt: skip

    def gate(self, *options: str) -> subprocess.CompletedProcess[str]:
        return self.run(
            "pytest", "benchmarks/test_regression.py", "-q", "-p", "no:cacheprovider",
            "-p", "pytest_benchmark.plugin", *options,
        )  # fmt: skip

    def accept(self) -> None:
        done = self.run("benchmarks.regression.accept", "--reason", "first")
        assert done.returncode == 0, done.stderr


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    root = tmp_path / "project"
    (root / "benchmarks/regression").mkdir(parents=True)
    for path in (ROOT / "benchmarks/regression").glob("*.py"):
        shutil.copy(path, root / "benchmarks/regression")
    (root / "benchmarks/regression/work.py").write_text(WORK)
    shutil.copy(ROOT / "benchmarks/test_regression.py", root / "benchmarks")
    (root / "benchmarks/conftest.py").write_text(CONFTEST)
    (root / "pipeline").mkdir()
    (root / "pipeline/__init__.py").write_text("")
    (root / "models").mkdir()
    shutil.copy(ROOT / "models/atomic.py", root / "models")
    (root / "constraints.txt").write_text("numpy==2\n")
    (root / ".gitignore").write_text("outputs/\n.benchmarks/\n__pycache__/\n")
    (root / "setup.cfg").write_text(
        "[tool:pytest]\naddopts = --import-mode=importlib\npythonpath = .\n"
        "markers =\n    regression: gate\n"
    )
    made = Checkout(root)
    made.git("init", "-q")
    made.commit(USUAL)
    made.accept()
    made.commit(USUAL)
    return made


def changed(kind: str, name: str, value: float | None) -> dict[str, dict[str, float]]:
    speeds = {key: dict(figures) for key, figures in USUAL.items()}
    if value is None:
        del speeds[kind][name]
    else:
        speeds[kind][name] = value
    return speeds


def test_an_unchanged_tree_passes_and_is_recorded_by_pytest_benchmark(checkout: Checkout) -> None:
    done = checkout.gate("--benchmark-autosave")
    assert done.returncode == 0, done.stdout
    assert "net latency: 10.02 ms, 1.000 (1.000 to 1.000) of the base" in done.stdout
    [stored] = (checkout.root / ".benchmarks").rglob("*.json")
    document = json.loads(stored.read_text())
    found = {one["params"]["time"]: one for one in document["benchmarks"]}
    assert found["draw"]["extra_info"]["fps"] == pytest.approx(500, rel=0.01)
    assert found["draw"]["stats"]["median"] == pytest.approx(0.002, rel=0.01)
    assert found["net latency"]["extra_info"]["ratio_to_base"]["high"] == pytest.approx(1, abs=0.01)
    assert document["figures"]["mIoU"] == {"value": 57.7, "unit": "units", "base": 57.7}
    # As users of pytest-benchmark know it: compared with stored results, with a limit.
    checkout.commit(changed("times", "draw", 0.004))
    later = checkout.gate(
        "--base=none", "--benchmark-compare", "--benchmark-compare-fail=median:10%"
    )
    assert later.returncode != 0
    assert "Performance has regressed" in later.stdout + later.stderr
    done = checkout.run("benchmarks.regression.history", "history.html")
    assert done.returncode == 0, done.stderr
    assert "<svg" in (checkout.root / "history.html").read_text()


@pytest.mark.parametrize(
    ("speeds", "said"),
    [
        (changed("times", "net latency", 0.0106), "slower: net latency: 10.62 ms, 1.060"),
        (
            changed("figures", "net bytes", 1501.0),
            "worse: net bytes: 1501 units, the base has 1500",
        ),
        (changed("figures", "mIoU", 57.69), "worse: mIoU: 57.69 units, the base has 57.7"),
        (
            changed("figures", "tensorrt-rtx list: net kernels", 68.0),
            "worse: tensorrt-rtx list: net kernels: 68 units, the base has 67",
        ),
        (changed("times", "draw", None), "no longer measured: draw; restore it"),
    ],
    ids=["time", "bytes", "mIoU", "kernels", "missing"],
)
def test_a_loss_fails(checkout: Checkout, speeds: dict[str, dict[str, float]], said: str) -> None:
    checkout.commit(speeds)
    done = checkout.gate()
    assert done.returncode == 1
    assert said in done.stdout
    assert "1 failed" in done.stdout


def test_what_is_new_or_better_passes_and_is_named(checkout: Checkout) -> None:
    speeds = changed("figures", "net bytes", 1400.0)
    speeds["times"]["encode"] = 0.005
    speeds["times"]["draw"] = 0.001
    checkout.commit(speeds)
    done = checkout.gate()
    assert done.returncode == 0, done.stdout
    assert "encode: 5.01 ms, not in the base" in done.stdout
    assert "net bytes: 1400 units, better or as good; the base has 1500" in done.stdout
    assert "draw: 1.00 ms, 0.500" in done.stdout


def test_only_what_is_asked_for_is_measured(checkout: Checkout) -> None:
    checkout.commit(changed("times", "draw", 0.004))
    done = checkout.gate("--only", "net latency")
    assert done.returncode == 0
    assert "2 passed in" in done.stdout  # nothing is missing, either
    nothing = checkout.gate("--only", "segnot")
    assert nothing.returncode != 0
    assert "--only segnot: nothing has that in its name; there are net latency, draw" in (
        nothing.stdout + nothing.stderr
    )
    assert checkout.gate("--only", "draw", "--only", "mIoU").returncode == 1


def test_a_loss_that_another_base_has_too_passes(checkout: Checkout) -> None:
    slower = checkout.commit(changed("times", "draw", 0.004))
    assert checkout.gate("--base", slower).returncode == 0
    assert checkout.gate().returncode == 1


def test_a_clone_without_the_base_is_told_how_to_fetch_it(
    checkout: Checkout, tmp_path: Path
) -> None:
    base = json.loads((checkout.root / "benchmarks/BASE").read_text())["commit"]
    shallow = tmp_path / "shallow"
    command = ["git", "clone", "-q", "--depth", "1", f"file://{checkout.root}", str(shallow)]
    subprocess.run(command, check=True)
    done = Checkout(shallow).gate()
    assert done.returncode == 3
    assert f"the base {base} is not in this clone" in done.stdout + done.stderr
    fetch = ["git", "fetch", "-q", "--depth", "1", "origin", base]
    assert "'git fetch --depth 1 origin " in done.stdout + done.stderr
    subprocess.run(fetch, cwd=shallow, check=True)
    assert Checkout(shallow).gate().returncode == 0


def test_a_base_with_other_packages_runs_in_its_own_environment(checkout: Checkout) -> None:
    script = checkout.root / "scripts/environment.sh"
    script.parent.mkdir()
    script.write_text(
        "#!/bin/sh\nset -e\nmkdir -p .venv/bin\ntouch .venv/made\n"
        f"printf '#!/bin/sh\\nexec {sys.executable} \"$@\"\\n' >.venv/bin/python\n"
        "chmod +x .venv/bin/python\n"
    )
    script.chmod(0o755)
    base = checkout.commit(USUAL)
    with (checkout.root / "setup.cfg").open("a") as file:
        file.write("[mypy]\nstrict = True\n")  # no package
    checkout.commit(USUAL, constraints_txt="numpy==2\nlinter==1\n")  # in addition to what existed
    assert "other packages" not in checkout.gate("--base", base, "-s", "--only", "mIoU").stderr
    checkout.commit(USUAL, constraints_txt="numpy==3\n")
    done = checkout.gate("--base", base, "-s")
    assert done.returncode == 0, done.stdout
    assert "the base has other packages" in done.stderr
    assert (checkout.root / f"outputs/fps/base-{base[:12]}/.venv/made").exists()


def test_a_side_that_cannot_be_measured_fails_in_one_line(checkout: Checkout) -> None:
    work = checkout.root / "benchmarks/regression/work.py"
    work.write_text(WORK.replace("lambda: burst(s)", "lambda: 1 / 0"))
    done = checkout.gate("--only", "draw")
    assert done.returncode == 1
    assert "head, time draw: ZeroDivisionError" in done.stdout
    assert "Traceback" not in done.stdout


def test_accepting_needs_a_reason_and_a_clean_tree(checkout: Checkout) -> None:
    accept = "benchmarks.regression.accept"
    assert checkout.run(accept).returncode == 2
    (checkout.root / "speeds.json").write_text("{}")
    done = checkout.run(accept, "--reason", "why not")
    assert done.returncode == 1
    assert "the tree differs from its commit" in done.stderr
    commit = checkout.commit(changed("figures", "tensorrt-rtx list: net kernels", 70.0))
    assert checkout.run(accept, "--reason", "one  kernel\nmore").returncode == 0
    base = json.loads((checkout.root / "benchmarks/BASE").read_text())
    assert base["commit"] == commit
    assert base["reason"] == "one kernel more"
    assert base["figures"] == {"tensorrt-rtx list: net kernels": 70.0}


def test_the_history_has_a_line_per_machine_and_units(
    tmp_path: Path, stored: Callable[[str, float], Path]
) -> None:
    found = read([stored("Zen 4", 40.0), stored("Zen 5", 61.0), stored("Zen 4", 42.0)])
    assert [point.fps for point in found["draw"]] == [40.0, 61.0, 42.0]
    text = page(found)
    assert text.count("<polyline") == 2
    assert "Zen 4" in text
    assert "70.1 frames/s</text>" in text
    assert "color-scheme: light dark" in text


@pytest.fixture
def stored(tmp_path: Path) -> Callable[[str, float], Path]:
    """Writes pytest-benchmark's file, as far as it is read."""
    count = 0

    def write(machine: str, fps: float) -> Path:
        nonlocal count
        count += 1
        path = tmp_path / f"{count:04d}.json"
        benchmark = {
            "params": {"time": "draw"},
            "extra_info": {"fps": fps, "ratio_to_base": {"median": 1.0}},
        }
        document = {
            "machine_info": {"cpu": {"brand_raw": machine}},
            "commit_info": {"id": f"{count}" * 40},
            "datetime": f"2026-11-{count:02d}T00:00:00+00:00",
            "benchmarks": [benchmark],
        }
        path.write_text(json.dumps(document))
        return path

    return write
