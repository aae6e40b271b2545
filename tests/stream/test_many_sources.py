"""Several sources on one session: fair turns, batches, and ends that affect only one source."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from stream_doubles import Collect, Marks, Numbers, stage_threads

from pipeline.errors import EngineError, SourceError
from pipeline.runtimes.session import ClassMaps, Frames
from pipeline.stream import StreamInput, StreamOptions, run_inputs
from pipeline.stream.frame import Frame

pytestmark = pytest.mark.usefixtures("no_threads_left")


class Counts(Marks):
    """Records its batches; takes only one frame at a time if asked to."""

    def __init__(self, batch: int | None = None, seconds: float = 0) -> None:
        super().__init__(seconds)
        self.batches: list[tuple[int, ...]] = []
        shape = self.input_spec.shape
        self.input_spec = replace(self.input_spec, shape=(batch, *shape[1:]))

    def _run(self, frames: Frames) -> ClassMaps:
        self.batches.append(frames.shape)
        return super()._run(frames)


class Tagged(Numbers):
    """Frames that carry the number of their camera in the last pixel."""

    def __init__(self, tag: int, count: int | None = None, **arguments: object) -> None:
        super().__init__(count, **arguments)  # type: ignore[arg-type]
        self.name = f"camera {tag}"
        self.tag = tag

    def _read(self) -> Frame | None:
        frame = super()._read()
        if frame is not None:
            frame.image[-1, -1] = self.tag
        return frame


@pytest.mark.parametrize("batch", [1, None])
def test_every_source_has_its_own_frames_in_order_at_its_own_sinks(batch: int | None) -> None:
    sinks = [(Collect(), Collect()) for _ in range(3)]
    inputs = [StreamInput(Tagged(tag, 20 + tag), sinks[tag]) for tag in range(3)]
    report = run_inputs(Counts(batch), inputs)
    for tag in range(3):
        for sink in sinks[tag]:
            assert sink.indices == list(range(20 + tag))
            assert all(one.frame.image[-1, -1, 0] == tag for one in sink.results)
            assert all((one.classes == one.frame.index % 11).all() for one in sink.results)
    assert (report.frames, report.read, report.dropped) == (63, 63, 0)
    assert [one.frames for one in report.sources] == [20, 21, 22]
    assert [one.source for one in report.sources] == ["camera 0", "camera 1", "camera 2"]


@pytest.mark.parametrize("live", [False, True])
def test_turns_are_fair_when_the_session_is_the_bottleneck(live: bool) -> None:
    shown: Counter[str] = Counter()
    stop = threading.Event()

    class Ends(Collect):
        def __init__(self, name: str) -> None:
            super().__init__()
            self._of = name

        def _write(self, _result: object) -> None:
            shown[self._of] += 1
            if sum(shown.values()) == 400:
                stop.set()

    # The first camera is ten times as fast as the others.
    intervals = (0.0001, 0.001, 0.001, 0.001)
    inputs = [
        StreamInput(Tagged(tag, live=live, interval=interval), [Ends(f"{tag}")])
        for tag, interval in enumerate(intervals)
    ]
    report = run_inputs(Counts(1, seconds=0.002), inputs, StreamOptions(stop=stop))
    counts = [one.frames for one in report.sources]
    assert max(counts) - min(counts) <= 0.05 * max(counts)
    assert report.stopped


def test_frames_of_equal_size_that_are_ready_share_a_run() -> None:
    sizes = [(48, 64), (48, 64), (24, 32), (48, 64)]
    inputs = [
        StreamInput(Tagged(tag, 50, size=size), [Collect()]) for tag, size in enumerate(sizes)
    ]
    session = Counts(seconds=0.002)
    report = run_inputs(session, inputs)
    assert report.frames == 200
    largest = {shape[1:3]: 0 for shape in session.batches}
    for shape in session.batches:
        largest[shape[1:3]] = max(largest[shape[1:3]], shape[0])
    assert largest == {(48, 64): 3, (24, 32): 1}
    assert len(session.batches) < 160


def test_a_fixed_batch_is_never_exceeded() -> None:
    inputs = [StreamInput(Tagged(tag, 30), [Collect()]) for tag in range(4)]
    session = Counts(2, seconds=0.001)
    run_inputs(session, inputs)
    assert {shape[0] for shape in session.batches} <= {1, 2}


@pytest.mark.parametrize("live", [False, True])
def test_the_limit_holds_for_each_source(live: bool) -> None:
    inputs = [StreamInput(Tagged(tag, live=live, interval=0.0005), [Collect()]) for tag in range(3)]
    report = run_inputs(Counts(1, seconds=0.001), inputs, StreamOptions(frames=9))
    assert [one.frames for one in report.sources] == [9, 9, 9]
    assert all(one.read == one.frames + one.dropped for one in report.sources)


def test_a_source_that_fails_or_ends_does_not_end_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sinks = [Collect(), Collect(), Collect()]
    sources = [Tagged(0, 5), Tagged(1, fail_at=3), Tagged(2, 60, interval=0.001)]
    inputs = [StreamInput(source, [sink]) for source, sink in zip(sources, sinks, strict=True)]
    report = run_inputs(Marks(), inputs)
    assert [len(sink.results) for sink in sinks] == [5, 3, 60]
    assert all(sink.finished for sink in sinks)
    assert report.problems == ("the source broke",)
    assert report.sources[1].problems == ("the source broke",)
    assert "the source broke" in caplog.text
    assert [source.closed_by for source in sources] == [f"roadseg-capture-{n}" for n in (1, 2, 3)]


def test_when_all_sources_failed_the_last_error_is_raised() -> None:
    sources = [Tagged(0, fail_at=3), Tagged(1, fail_at=4, interval=0.01)]
    with pytest.raises(SourceError, match="the source broke"):
        run_inputs(Marks(), [StreamInput(source, [Collect()]) for source in sources])


def test_a_source_whose_sinks_have_all_failed_is_read_no_longer() -> None:
    lost, good = Tagged(0, interval=0.001), Tagged(1, 80, interval=0.001)
    sink = Collect()
    report = run_inputs(
        Marks(), [StreamInput(lost, [Collect(fail_at=2)]), StreamInput(good, [sink])]
    )
    assert sink.indices == list(range(80))
    assert lost.index < 40
    assert report.sources[0].problems == ("the sink broke",)
    assert report.sources[1].problems == ()


def test_a_failing_session_ends_all_sources() -> None:
    class Breaks(Marks):
        def _run(self, frames: Frames) -> ClassMaps:
            if frames[0, 0, 0, 0] == 7:
                raise EngineError("the session broke")
            return super()._run(frames)

    sources = [Tagged(tag, live=bool(tag), interval=0.001) for tag in range(2)]
    with pytest.raises(EngineError, match="the session broke"):
        run_inputs(Breaks(), [StreamInput(source, [Collect()]) for source in sources])
    assert all(source.closed_by for source in sources)


def test_a_slow_sink_of_one_file_does_not_slow_another() -> None:
    slow, fast = Collect(seconds=0.02), Collect()
    finished: list[int] = []

    class Notes(Collect):
        def _finish(self) -> None:
            finished.append(len(slow.results))

    run_inputs(
        Marks(), [StreamInput(Tagged(0, 40), [slow]), StreamInput(Tagged(1, 200), [fast, Notes()])]
    )
    assert len(slow.results) == 40
    assert fast.indices == list(range(200))
    assert finished[0] < 30


def test_a_camera_that_never_delivers_again_does_not_keep_the_stream_from_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Lost(Tagged):
        """Waits until it is closed, as a source that reconnects forever does."""

        def __init__(self, tag: int) -> None:
            super().__init__(tag, live=True)
            self.closing = threading.Event()

        def _read(self) -> Frame | None:
            if self.index == 5:
                self.closing.wait(30)
                return None
            return super()._read()

        def close(self) -> None:
            self.closing.set()
            super().close()

    stop = threading.Event()
    lost, sink = Lost(0), Collect()
    threading.Timer(0.3, stop.set).start()
    inputs = [StreamInput(lost, [sink]), StreamInput(Tagged(1, interval=0.001), [Collect()])]
    report = run_inputs(Marks(), inputs, StreamOptions(stop=stop))
    assert sink.finished
    assert report.stopped
    assert report.problems == ()
    assert "no longer waiting" not in caplog.text


@pytest.mark.slow
def test_a_driver_that_hangs_is_left_behind_and_the_files_are_finished(
    caplog: pytest.LogCaptureFixture,
) -> None:
    release = threading.Event()

    class Hangs(Tagged):
        def _read(self) -> Frame | None:
            if self.index == 5:
                release.wait(30)
            return super()._read()

    stop = threading.Event()
    sink = Collect()
    threading.Timer(0.1, stop.set).start()
    report = run_inputs(
        Marks(), [StreamInput(Hangs(0, live=True), [sink])], StreamOptions(stop=stop)
    )
    assert sink.finished
    assert report.stopped
    assert "no longer waiting for roadseg-capture" in caplog.text
    release.set()
    deadline = time.monotonic() + 5
    while stage_threads() and time.monotonic() < deadline:
        time.sleep(0.01)


def test_the_report_has_totals_and_a_part_per_source() -> None:
    inputs = [StreamInput(Tagged(tag, 10), [Collect()]) for tag in range(2)]
    report = run_inputs(Marks(), inputs)
    document = json.loads(json.dumps(report.to_json()))
    assert document["frames"] == 20
    assert [one["frames"] for one in document["sources"]] == [10, 10]
    keys = {"fps", "frame_age_ms", "result_age_ms", "stages_ms", "dropped", "problems"}
    assert keys <= set(document)
    assert keys | {"source", "gaps", "reconnects", "lost_seconds"} <= set(document["sources"][0])
    assert list(document["stages_ms"]) == ["capture", "infer", "collect"]
    assert len(document["sinks"]) == 2
    lines = report.lines()
    assert lines[0].startswith("20 frames")
    assert lines[1].startswith("  camera 0: 10 frames")


def test_a_stream_without_a_source_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="at least one source"):
        run_inputs(Marks(), [])


def test_class_maps_of_a_batch_belong_to_their_frames() -> None:
    sinks = [Collect() for _ in range(4)]
    sources = [Tagged(tag, 30, interval=0.0003 * tag) for tag in range(4)]
    run_inputs(
        Counts(), [StreamInput(one, [sink]) for one, sink in zip(sources, sinks, strict=True)]
    )
    for sink in sinks:
        assert sink.indices == list(range(30))
        assert all(np.all(one.classes == one.frame.index % 11) for one in sink.results)
