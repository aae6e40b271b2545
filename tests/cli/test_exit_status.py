"""How the process ends: by a signal, when its reader leaves, quietly."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.cli import main
from pipeline.engine.manifest import Engine
from pipeline.stream import StreamReport, run_inputs

Captured = pytest.CaptureFixture[str]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(3):
        cv2.imwrite(str(folder / f"{index}.png"), np.full((90, 120, 3), 80 * index, np.uint8))
    return folder


@pytest.fixture
def interrupted_by(monkeypatch: pytest.MonkeyPatch) -> Callable[[signal.Signals], None]:
    """Send this process a signal just before the stream reads its first frame."""

    def at_start(number: signal.Signals) -> None:
        def run(*arguments: object) -> StreamReport:
            signal.raise_signal(number)
            return run_inputs(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr("pipeline.cli.run.run_inputs", run)

    return at_start


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_file_that_is_cut_short_is_128_and_the_signal_with_one_line(
    number: signal.Signals,
    status: int,
    interrupted_by: Callable[[signal.Signals], None],
    pictures: Path,
    small_engine: Engine,
    capsys: Captured,
) -> None:
    before = signal.signal(number, signal.SIG_DFL)  # ignored under nohup, and would stay so
    interrupted_by(number)
    try:
        assert main(["run", str(small_engine.path), "--source", str(pictures)]) == status
    finally:
        signal.signal(number, before)
    written = capsys.readouterr()
    assert written.err == f"{number.name} ended {pictures} before its end\n"
    assert "weights of segnet_lite: CC BY-NC 4.0" in written.out


@pytest.mark.parametrize(
    ("options", "status"),
    [
        (("--source", "synthetic:64x64"), 0),
        (("--source", "synthetic:64x64", "--frames", "9"), 130),
        (("--source", "PICTURES", "--realtime"), 0),
        (("--source", "synthetic:64x64", "--source", "PICTURES"), 130),
    ],
)
def test_what_has_no_end_ends_with_a_signal_and_status_0(
    options: tuple[str, ...],
    status: int,
    interrupted_by: Callable[[signal.Signals], None],
    pictures: Path,
    small_engine: Engine,
) -> None:
    interrupted_by(signal.SIGINT)
    given = [str(pictures) if one == "PICTURES" else one for one in options]
    assert main(["run", str(small_engine.path), *given]) == status


def test_a_reader_that_goes_away_is_no_failure() -> None:
    command = [sys.executable, "-u", "-m", "pipeline", "models"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        _, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (0, b"")


def test_quiet_prints_nothing_but_errors(
    small_engine: Engine, tmp_path: Path, capsys: Captured
) -> None:
    command = ["run", str(small_engine.path), "--source", "synthetic:64x64", "--frames", "2"]
    assert main([*command, "--quiet", "--sink", str(tmp_path / "out.jsonl")]) == 0
    assert capsys.readouterr() == ("", "")
    assert main(["inspect", str(tmp_path / "none.xml"), "--quiet"]) == 1
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err.startswith("error: ")
