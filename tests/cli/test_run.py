"""The command ``run`` with several sources, a watched engine and a trace."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import cv2
import pytest

from pipeline.cli import main
from pipeline.engine.manifest import Engine
from pipeline.errors import SinkError
from pipeline.runtimes.session import Session
from pipeline.stream import StreamInput, StreamOptions, StreamReport, run_inputs
from pipeline.stream.sinks import numbered

Captured = pytest.CaptureFixture[str]
ROOT = Path(__file__).parents[2]
SMALL = ("--source", "synthetic:160x120")


def run_json(capsys: Captured, *arguments: str) -> dict[str, object]:
    assert main(["run", *arguments, "--json"]) == 0
    document: dict[str, object] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return document


def test_two_sources_write_their_own_files(
    capsys: Captured, small_engine: Engine, tmp_path: Path
) -> None:
    video, masks = tmp_path / "out.mp4", tmp_path / "masks"
    report = run_json(
        capsys, str(small_engine.path), *SMALL, "--source", "synthetic:96x64", "--frames", "3",
        "--sink", str(video), "--sink", str(masks), "--sink", f"masks-index:{tmp_path}/index",
    )  # fmt: skip
    assert report["frames"] == 6
    outputs = [tmp_path / name for name in ("out-1.mp4", "masks/1", "index/1")]
    outputs += [tmp_path / name for name in ("out-2.mp4", "masks/2", "index/2")]
    assert report["outputs"] == [str(path) for path in outputs]
    for number, size in ((1, (120, 160, 3)), (2, (64, 96, 3))):
        mask = cv2.imread(str(masks / f"{number}" / "000002.png"))
        assert mask is not None
        assert mask.shape == size
    assert not video.exists()
    assert [one["source"] for one in report["sources"]] == [  # type: ignore[attr-defined]
        "synthetic:160x120",
        "synthetic:96x64",
    ]


def test_smoothing_and_fine_edges_reach_the_stream(
    capsys: Captured, small_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[StreamOptions] = []

    def spy(session: Session, inputs: list[StreamInput], options: StreamOptions) -> StreamReport:
        asked.append(options)
        return run_inputs(session, inputs, options)

    monkeypatch.setattr("pipeline.cli.run.run_inputs", spy)
    run_json(capsys, str(small_engine.path), *SMALL, "--frames", "3", "--smooth", "--fine-edges")
    run_json(capsys, str(small_engine.path), *SMALL, "--frames", "3")
    assert [one.smooth for one in asked] == [True, False]
    assert [one.overlay.fine_edges for one in asked] == [True, False]


def test_sources_of_one_name_are_told_apart(capsys: Captured, small_engine: Engine) -> None:
    report = run_json(capsys, str(small_engine.path), *SMALL, *SMALL, "--frames", "1")
    names = [one["source"] for one in report["sources"]]  # type: ignore[attr-defined]
    assert names == ["synthetic:160x120", "synthetic:160x120 (2)"]


def test_a_source_that_is_not_there_leaves_nothing_behind(
    capsys: Captured, small_engine: Engine, tmp_path: Path
) -> None:
    arguments = ["run", str(small_engine.path), *SMALL, "--source", "nowhere.mp4"]
    assert main([*arguments, "--sink", str(tmp_path / "out.mp4")]) == 1
    assert "nowhere.mp4" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_failed_sink_is_status_1_and_the_other_is_whole(
    capsys: Captured, small_engine: Engine, tmp_path: Path
) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    # A directory is in the place of the third mask.
    (masks / ".roadseg").write_text("made by roadseg")
    (masks / "000002.png").mkdir()
    lines = tmp_path / "out.jsonl"
    arguments = ["run", str(small_engine.path), *SMALL, "--frames", "5", "--json"]
    status = main([*arguments, "--sink", str(masks), "--sink", str(lines)])
    written = capsys.readouterr()
    assert status == 1
    errors = [line for line in written.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "cannot be written after 2 frames" in errors[0]
    assert json.loads(written.out.splitlines()[-1])["frames"] == 5
    assert len(lines.read_text().splitlines()) == 6


def test_a_terminated_run_leaves_a_whole_trace_and_is_status_0(
    small_engine: Engine, tmp_path: Path
) -> None:
    trace, lines = tmp_path / "trace.json", tmp_path / "out.jsonl"
    command = [sys.executable, "-m", "pipeline", "run", str(small_engine.path), *SMALL, *SMALL]
    command += ["--realtime", "--watch", "--trace", str(trace), "--sink", str(lines)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        growing = tmp_path / "out-2.partial.jsonl"
        deadline = time.monotonic() + 120
        while not (growing.exists() and growing.stat().st_size > 2000):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    events = json.loads(trace.read_text())["traceEvents"]
    stages = {event["name"] for event in events if event["ph"] == "X"}
    assert stages == {"capture", "infer", "draw", "statistics"}
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "out-1.jsonl",
        "out-2.jsonl",
        "trace.json",
    ]


def test_a_trace_replaces_no_file_of_somebody_else(
    capsys: Captured, small_engine: Engine, tmp_path: Path
) -> None:
    mine = tmp_path / "trace.json"
    arguments = ["run", str(small_engine.path), *SMALL, "--frames", "1", "--trace", str(mine)]
    assert main(arguments) == 0
    assert main(arguments) == 0
    mine.write_text("precious")
    assert main(arguments) == 1
    assert "--force" in capsys.readouterr().err
    assert mine.read_text() == "precious"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("out.mp4", "out-2.mp4"),
        ("a/b.jsonl", "a/b-2.jsonl"),
        ("masks", "masks/2"),
        ("masks-index:a/b/", "masks-index:a/b/2"),
        ("none", "none"),
        ("http", "http"),
        ("window", "window"),
    ],
)
def test_each_camera_has_its_own_output(text: str, expected: str) -> None:
    assert numbered(text, 2) == expected


def test_a_sink_of_no_kind_has_no_number() -> None:
    with pytest.raises(SinkError, match="of no known kind"):
        numbered("out.txt", 1)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--keep", "1GB"),
        ("--segment", "soon"),
        ("--segment", "0"),
        ("--segment", "10m", "--keep", "much"),
        ("--http-port", "65536"),
        ("--camera-format", "MJPEG"),
        ("--retries", "-1"),
    ],
)
def test_wrong_options_are_status_2(capsys: Captured, arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["run", "engine", "--source", "synthetic", *arguments])
    assert stop.value.code == 2
    assert arguments[-2] in capsys.readouterr().err


def test_cameras_share_one_page(capsys: Captured, small_engine: Engine) -> None:
    command = ["run", str(small_engine.path), *SMALL, *SMALL, "--frames", "2"]
    assert main([*command, "--sink", "http", "--http-port", "0", "--sink", "none"]) == 0
    written = capsys.readouterr()
    [line] = [line for line in written.err.splitlines() if line.startswith("the page is at")]
    assert line.startswith("the page is at http://127.0.0.1:")
    assert not line.endswith((":0/", ":8080/"))


def test_a_port_that_is_taken_is_one_line(capsys: Captured, small_engine: Engine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = ["run", str(small_engine.path), *SMALL, "--frames", "2"]
        assert main([*command, "--sink", "http", "--http-port", port]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1
    assert errors[0].startswith("error: ")
    assert port in errors[0]
