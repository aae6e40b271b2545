"""Files that a run reports as written exist, and abandoned ones do not appear later."""

from __future__ import annotations

import json
import os
import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sink_results import result
from small_disk import disk_full_after
from stream_doubles import Collect, Marks, Numbers

from pipeline.cli import main
from pipeline.engine.manifest import Engine
from pipeline.receiver import Receiver
from pipeline.stream import StreamInput, StreamOptions, run, run_inputs
from pipeline.stream.frame import Result
from pipeline.stream.sinks import Sink, SinkOptions, open_sink
from pipeline.stream.sinks.statistics import StatisticsSink
from pipeline.stream.trace import Trace


def test_an_output_that_failed_is_not_said_to_be_written(tmp_path: Path) -> None:
    lost, cut = tmp_path / "lost.mp4", tmp_path / "cut.jsonl"
    with disk_full_after(3_000):
        report = run(
            Marks(),
            Numbers(60),
            [open_sink(str(lost), SinkOptions(fps=25.0)), open_sink(str(cut)), Collect()],
        )
    assert report.outputs == ()
    assert [one.output for one in report.sinks] == [None, str(cut), None]
    assert cut.exists()
    assert not lost.exists()
    [of_lost, of_cut] = sorted(report.problems, reverse=True)
    assert "lost.mp4 cannot be written" in of_lost
    assert "no partial file was left" in of_lost
    assert f"{cut} has the frames before the failure" in of_cut
    assert [line for line in report.lines() if "wrote" in line] == []


def test_a_sink_that_was_given_up_publishes_nothing_later(tmp_path: Path) -> None:
    released = threading.Event()

    class Hangs(StatisticsSink):
        def _write(self, result: Result) -> None:
            if self.written == 3:
                released.wait(30)
            super()._write(result)

    output = tmp_path / "drive.jsonl"
    output.write_text("")
    sink = Hangs(output, SinkOptions())
    report = run(Marks(), Numbers(20), [sink, Collect()], StreamOptions(stalled=0.1))
    assert "its output is not finished" in report.problems[0]
    assert report.outputs == ()
    released.set()
    deadline = time.monotonic() + 10
    while (tmp_path / ".drive.jsonl.lock").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert output.read_text() == "", "a later run may have written there"
    assert (tmp_path / "drive.partial.jsonl").read_text().count('"index"') == 4


def traced(path: Path, size: int) -> Trace:
    """Trace a stream onto a disk that is full after ``size`` bytes."""
    trace = Trace(path)
    with disk_full_after(size):
        run_inputs(Marks(), [StreamInput(Numbers(500), [Collect()])], StreamOptions(trace=trace))
        trace.close()
    return trace


def test_a_trace_on_a_full_disk_is_whole_and_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    trace = traced(path, 50_000)
    assert len(json.loads(path.read_text())["traceEvents"]) > 1
    assert trace.problem is not None
    assert "ends early (File too large)" in trace.problem


def test_a_trace_that_ends_early_is_an_error_of_the_run(
    small_engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "trace.json"
    command = ["run", str(small_engine.path), "--source", "synthetic:96x64", "--frames", "20"]
    with disk_full_after(1_000):
        assert main([*command, "--trace", str(path)]) == 1
    assert "error: trace" in capsys.readouterr().err
    assert json.loads(path.read_text())["traceEvents"]


def test_a_start_that_fails_leaves_the_trace_of_before(
    small_engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "trace.json"
    command = ["run", str(small_engine.path), "--trace", str(path), "--frames", "3"]
    assert main([*command, "--source", "synthetic:96x64"]) == 0
    before = path.read_bytes()
    assert main([*command, "--source", str(tmp_path / "missing.mp4")]) == 1
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["trace.json"]


@contextmanager
def no_file_left() -> Iterator[None]:
    """Keep the process from opening anything more (EMFILE)."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    probe = os.dup(0)
    os.close(probe)
    resource.setrlimit(resource.RLIMIT_NOFILE, (probe, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def receive(sink: Sink, path: Path) -> list[int]:
    """Return the index of the first frame that a reader gets; nothing if it gets none."""
    got: list[int] = []

    def read() -> None:
        with Receiver(path) as receiver:
            got.append(next(iter(receiver)).index)

    reading = threading.Thread(target=read, daemon=True)
    reading.start()
    deadline = time.monotonic() + 10
    while reading.is_alive() and time.monotonic() < deadline:
        sink.write(result(7))
        reading.join(0.01)
    return got


def test_a_socket_lets_readers_in_again_when_files_were_short(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "maps"
    with open_sink(f"socket:{path}") as sink:
        early = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with no_file_left():
            early.connect(str(path))
            deadline = time.monotonic() + 10
            while "accepts no readers" not in caplog.text and time.monotonic() < deadline:
                time.sleep(0.01)
        assert "Too many open files" in caplog.text
        early.close()
        assert receive(sink, path) == [7]
