"""Traces of stages and threads: valid JSON at any moment, and constant memory at any length."""

from __future__ import annotations

import errno
import json
import threading
from collections import Counter
from pathlib import Path

import pytest
from stream_doubles import Collect, Marks, Numbers

from pipeline.errors import OutputError
from pipeline.stream import StreamInput, StreamOptions, run_inputs
from pipeline.stream.timing import Work
from pipeline.stream.trace import Trace


def test_every_frame_leaves_its_work_in_every_stage_and_thread(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    sources = [Numbers(6), Numbers(9)]
    sources[1].name = "second"
    with Trace(path, "a comment") as trace:
        inputs = [StreamInput(source, [Collect()]) for source in sources]
        run_inputs(Marks(), inputs, StreamOptions(trace=trace))
    document = json.loads(path.read_text())
    assert document["otherData"] == {"comment": "a comment"}
    events = [event for event in document["traceEvents"] if event["ph"] == "X"]
    counts = Counter((event["name"], event["args"]["source"]) for event in events)
    for stage in ("capture", "infer", "collect"):
        assert counts[stage, "numbers"] == 6
        assert counts[stage, "second"] == 9
    assert all(event["dur"] >= 0 and isinstance(event["ts"], int) for event in events)
    named = [event for event in document["traceEvents"] if event["name"] == "thread_name"]
    names = {event["args"]["name"]: event["tid"] for event in named}
    assert set(names) == {"capture-1", "capture-2", "infer", "collect-1", "collect-2"}
    infer = {event["tid"] for event in events if event["name"] == "infer"}
    assert infer == {names["infer"]}
    frames = [event["args"]["frame"] for event in events if event["tid"] == names["capture-2"]]
    assert frames == list(range(9))


def test_the_file_is_whole_before_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    trace = Trace(path)
    assert len(json.loads(path.read_text())["traceEvents"]) == 1
    add = trace.of("camera")
    for frame in range(1000):
        add(Work("infer", frame, frame * 0.001, frame * 0.001 + 0.0005))
    events = json.loads(path.read_text())["traceEvents"]
    assert 700 < len(events) < 1003, "what waits in memory is bounded, and not written one by one"
    trace.close()
    assert len(json.loads(path.read_text())["traceEvents"]) == 1002
    add(Work("infer", 0, 0, 1))  # a thread that is still running
    trace.close()


def test_threads_may_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    with Trace(path) as trace:
        add = trace.of("camera")

        def work() -> None:
            for frame in range(500):
                add(Work("draw", frame, 0.0, 0.001))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    events = json.loads(path.read_text())["traceEvents"]
    assert len([event for event in events if event["ph"] == "X"]) == 2000


def test_a_full_disk_ends_the_trace_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = Trace(tmp_path / "out.json")

    with monkeypatch.context() as patch:
        patch.setattr(trace, "_file", FullFile())
        run_inputs(Marks(), [StreamInput(Numbers(500), [Collect()])], StreamOptions(trace=trace))
    trace.close()
    assert caplog.text.count("No space left on device") == 1


class FullFile:
    closed = False

    def append(self, _content: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="choose another place"):
        Trace(tmp_path / "nowhere" / "out.json")
