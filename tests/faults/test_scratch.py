"""Remains of killed processes: swept at the next start, without those of running processes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from models.scratch import scratch_folder
from pipeline.cli import main
from pipeline.engine.manifest import Engine, load_engine
from pipeline.engine.publish import build_folder

ROOT = Path(__file__).parents[2]

#: Makes a scratch folder with contents, or holds a lock, until it is killed.
HOLD = """
import sys, time
from pathlib import Path
from models.lock import WriteLock
from models.scratch import scratch_folder
kind, place = sys.argv[1], Path(sys.argv[2])
if kind == "lock":
    lock = WriteLock(place, "it")
    print("held", flush=True)
    time.sleep(60)
with scratch_folder("roadseg-", place) as folder:
    (folder / "large").write_bytes(bytes(1000))
    print("held", flush=True)
    time.sleep(60)
"""


@contextmanager
def process(kind: str, place: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, kind, str(place)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "held\n"
        yield running
        running.kill()


def test_the_folder_of_a_killed_process_goes_at_the_next_start(tmp_path: Path) -> None:
    with process("folder", tmp_path) as killed, process("folder", tmp_path) as alive:
        before = {path.name for path in tmp_path.iterdir()}
        killed.kill()
        killed.wait()
        with scratch_folder("roadseg-", tmp_path) as folder:
            left = {path.name for path in tmp_path.iterdir()} - {folder.name}
        assert len(before) == 2
        assert len(left) == 1
        [one] = left
        assert (tmp_path / one / ".lock").read_text() == f"{alive.pid}\n"
        assert [path.name for path in tmp_path.iterdir()] == [one]


def test_what_could_be_somebodys_stays(tmp_path: Path) -> None:
    young, old, other = (tmp_path / name for name in ("roadseg-1", "roadseg-2", "holiday"))
    target = tmp_path / "target"
    for folder in (young, old, other, target):
        folder.mkdir()
        (folder / "file").touch()
    (tmp_path / "roadseg-3").symlink_to(target)
    (tmp_path / "roadseg-4").write_text("a file")
    for path in (old / "file", old):  # from an earlier version, two days ago
        os.utime(path, (time.time() - 2 * 86400,) * 2)
    with scratch_folder("roadseg-", tmp_path):
        pass
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"roadseg-1", "roadseg-3", "roadseg-4", "holiday", "target"}
    assert (target / "file").exists()


def test_an_engine_that_a_killed_build_was_replacing_is_put_back(
    small_engine: Engine, tmp_path: Path
) -> None:
    shutil.copytree(small_engine.folder, tmp_path, dirs_exist_ok=True)
    name = small_engine.manifest.name
    taken = tmp_path / ".build-killed" / "fp32" / "replaced" / name
    taken.mkdir(parents=True)
    for suffix in (".json", ".bin"):
        (tmp_path / f"{name}{suffix}").rename(taken / f"{name}{suffix}")
    (tmp_path / f"{name}.bin").write_bytes(b"of the new one")
    (tmp_path / ".build-killed" / ".lock").touch()
    with build_folder(tmp_path):
        pass
    assert load_engine(tmp_path / f"{name}.json").manifest == small_engine.manifest
    assert not list(tmp_path.glob(".build-*"))


@pytest.mark.slow
def test_a_build_whose_terminal_is_closed_leaves_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipeline", "build", "segnet_lite", "--size", "120x90"]
    with subprocess.Popen(
        [*command, "--output", str(tmp_path / "engines")],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as building:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("engines/.build-*/.lock")):
            assert building.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        building.send_signal(signal.SIGHUP)
        _, errors = building.communicate(timeout=60)
    assert building.returncode == 143
    assert errors.splitlines()[-1] == "terminated"
    assert list((tmp_path / "engines").iterdir()) == []
    assert not list(tmp_path.glob("roadseg-*"))


def test_a_second_training_in_a_folder_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    command = ["train", "segnet_lite", "--data", str(tmp_path), "--folder", str(folder)]
    with process("lock", folder / ".lock") as first:
        assert main([*command, "--force"]) == 1
        [line] = capsys.readouterr().err.splitlines()
        assert line == (
            f"error: the run in {folder} is being written by process {first.pid}; stop that one, "
            "or choose another name"
        )
        first.kill()
        first.wait()
        assert main(command) == 1
        assert "is being written" not in capsys.readouterr().err
