"""The commands beyond one machine, without their packages, as on most machines."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from gop_videos import write_gops
from tiny_openvino import write_engine

from pipeline.cli import main


def test_archive_without_its_packages_is_one_line_that_names_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    engine = write_engine(tmp_path / "engine")
    video = write_gops(tmp_path / "a.mp4", 3)
    output = tmp_path / "out"
    words = ["archive", str(engine.path), "--source", str(video), "--output", str(output)]
    assert main(words) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: archive needs the packages of the extra 'archive'")
    assert error.count("\n") == 1
    assert not output.exists()


def test_a_served_model_without_the_client_is_one_line_that_names_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("tritonclient", "tritonclient.grpc"):
        monkeypatch.setitem(sys.modules, name, None)
    assert main(["run", "triton://localhost:8001/road", "--source", "synthetic"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: triton:// needs the package tritonclient")
    assert error.count("\n") == 1


@pytest.mark.parametrize("option", ["--watch", "--rebuild"])
def test_a_served_model_is_not_watched_or_built_from_here(option: str) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["run", "triton://localhost:8001/road", "--source", "synthetic", option])
    assert caught.value.code == 2


def test_an_engine_is_exported_without_the_client_and_says_that_nothing_checked_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("tritonclient", "tritonclient.grpc"):
        monkeypatch.setitem(sys.modules, name, None)
    engine = write_engine(tmp_path / "engine")
    repository = tmp_path / "models"
    words = ["export-triton", str(engine.path), "--output", str(repository), "--name", "road"]
    assert main([*words, "--backend", "python"]) == 0
    assert "was not checked" in capsys.readouterr().out
    assert 'backend: "python"' in (repository / "road/config.pbtxt").read_text()
    compile((repository / "road/1/model.py").read_text(), "model.py", "exec")
    assert (repository / "road/labels.txt").read_text().split() == list(
        engine.manifest.classes.names
    )
    assert main([*words, "--backend", "tensorrt"]) == 1
    assert "runs on openvino or python" in capsys.readouterr().err
