"""From source to sinks: nothing lost, drops counted, failures that stop, signals that finish."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from stream_doubles import Collect, Marks, Numbers, stage_threads
from videos import write_video

from pipeline.cli.signals import stop_on_signal
from pipeline.errors import EngineError, SinkError, SourceError
from pipeline.runtimes.null import NullSession
from pipeline.runtimes.session import ClassMaps, Frames
from pipeline.stream import StreamOptions, run
from pipeline.stream.frame import Frame, Result
from pipeline.stream.sinks import open_sinks
from pipeline.stream.sinks.none import NoneSink
from pipeline.stream.sources import SourceOptions, open_source

pytestmark = pytest.mark.usefixtures("no_threads_left")

#: Frames of a small video, each a little lighter than the one before.
GREYS = [np.full((48, 64, 3), index * 3, np.uint8) for index in range(20)]
ROOT = Path(__file__).parents[2]


def test_a_file_gives_every_frame_to_every_sink_in_order() -> None:
    fast, slow = Collect(), Collect(seconds=0.002)
    report = run(Marks(), Numbers(60), [fast, slow])
    for sink in (fast, slow):
        assert sink.indices == list(range(60))
        assert sink.finished
        assert all((one.classes == one.frame.index % 11).all() for one in sink.results)
    assert (report.frames, report.dropped, report.read) == (60, 0, 60)
    assert [sink.frames for sink in report.sinks] == [60, 60]


def test_smoothing_takes_the_majority_of_three_frames_of_one_source() -> None:
    class Flicker(Marks):
        """Class 7 in every fifth frame, else 2."""

        def _run(self, frames: Frames) -> ClassMaps:
            flashes = frames[0, 0, 0, 0] % 5 == 4
            return np.full((1, 24, 32), 7 if flashes else 2, np.uint8)

    plain, smooth = Collect(), Collect()
    run(Flicker(), Numbers(20), [plain])
    run(Flicker(), Numbers(20), [smooth], StreamOptions(smooth=True))
    assert [int(one.classes[0, 0]) for one in plain.results].count(7) == 4
    assert {int(one.classes[0, 0]) for one in smooth.results} == {2}


def test_a_video_gives_exactly_as_many_masks(tmp_path: Path) -> None:
    write_video(tmp_path / "drive.mp4", GREYS)
    folder = tmp_path / "masks"
    source = open_source(str(tmp_path / "drive.mp4"))
    report = run(NullSession(), source, open_sinks([f"masks-index:{folder}"]))
    names = [f"{index:06d}.png" for index in range(20)]
    assert sorted(path.name for path in folder.glob("*.png")) == names
    assert (report.frames, report.promised, report.problems) == (20, 20, ())
    assert report.outputs == (str(folder),)


def test_a_slow_session_on_a_live_source_drops_and_counts_exactly() -> None:
    sink = Collect()
    source = Numbers(150, live=True, interval=0.001)
    report = run(Marks(seconds=0.01), source, [sink])
    assert report.dropped > 0
    assert report.read == 150
    assert report.frames == len(sink.results)
    assert report.frames + report.dropped == 150
    assert sink.indices == sorted(sink.indices)
    assert sink.indices[-1] == 149, "the newest frame was not the last one shown"


def test_frames_that_the_cameras_next_one_overtook_are_read_and_dropped() -> None:
    class Overtaking(Numbers):
        """Every frame overtakes two unread ones."""

        def _read(self) -> Frame | None:
            frame = super()._read()
            self.overtaken += 0 if frame is None else 2
            return frame

    sink = Collect()
    report = run(Marks(), Overtaking(20, live=True, interval=0.002), [sink])
    assert report.read == 60
    assert report.frames == len(sink.results)
    assert report.dropped == 60 - report.frames >= 40
    assert report.sources[0].dropped == report.dropped


def test_a_slow_sink_on_a_live_source_drops_its_own_and_spares_the_other() -> None:
    fast, slow = Collect(), Collect(seconds=0.02)
    report = run(Marks(), Numbers(60, live=True, interval=0.002), [fast, slow])
    quick, late = report.sinks
    assert late.dropped > 0
    assert late.frames + late.dropped == quick.frames + quick.dropped
    assert quick.frames > late.frames
    assert report.frames + report.dropped == report.read == 60
    assert report.frames >= quick.frames


@pytest.mark.parametrize("live", [False, True])
def test_the_limit_is_met_exactly(live: bool) -> None:
    sinks = [Collect(seconds=0.003)]
    source = Numbers(live=live, interval=0.001)
    report = run(Marks(), source, sinks, StreamOptions(frames=17))
    assert report.frames == len(sinks[0].results) == 17
    assert report.read == report.frames + report.dropped
    assert not report.stopped


@pytest.mark.parametrize("live", [False, True])
def test_a_stop_finishes_what_was_captured(live: bool) -> None:
    stop = threading.Event()

    class StopsAt(Collect):
        def _write(self, result: Result) -> None:
            super()._write(result)
            if len(self.results) == 5:
                stop.set()

    sink = StopsAt()
    source = Numbers(live=live, interval=0.001)
    report = run(Marks(), source, [sink], StreamOptions(stop=stop))
    assert report.stopped
    assert sink.finished
    assert report.frames == len(sink.results) >= 5
    assert report.read == report.frames + report.dropped
    assert report.problems == ()


class BreaksSession(NullSession):
    def _run(self, frames: Frames) -> ClassMaps:
        if frames[0, 0, 0, 0] == 3:
            raise EngineError("the session broke")
        return super()._run(frames)


class BreaksSource(Numbers):
    def _read(self) -> Frame | None:
        if self.index == 3:
            raise SourceError("the source broke")
        return super()._read()


class BreaksOnClose(Collect):
    def _finish(self) -> None:
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize(
    ("session", "source", "sink", "error"),
    [
        (BreaksSession, Numbers, Collect, EngineError),
        (Marks, BreaksSource, Collect, SourceError),
        (Marks, Numbers, lambda: Collect(fail_at=3), SinkError),
    ],
)
def test_a_failing_stage_ends_the_stream_with_the_first_cause(
    live: bool,
    session: Callable[[], NullSession],
    source: Callable[..., Numbers],
    sink: Callable[[], Collect],
    error: type[Exception],
) -> None:
    frames, taker = source(live=live, interval=0.001), sink()
    with pytest.raises(error, match="broke"):
        run(session(), frames, [taker])
    assert frames.closed_by == "roadseg-capture"
    assert taker.finished or not taker.results


def test_a_sink_that_cannot_finish_is_a_failure() -> None:
    with pytest.raises(SinkError, match="No space left on device"):
        run(Marks(), Numbers(4), [BreaksOnClose()])


def test_a_stuck_stage_is_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    release = threading.Event()

    class Stuck(Numbers):
        def _read(self) -> Frame | None:
            if self.index == 3:
                release.wait(30)
            return super()._read()

    with pytest.raises(SinkError, match="broke"):
        run(Marks(), Stuck(), [Collect(fail_at=2)])
    assert stage_threads() == ["roadseg-capture"]
    assert "roadseg-capture" in caplog.text
    release.set()
    for thread in threading.enumerate():
        if thread.name == "roadseg-capture":
            thread.join(5)


def test_the_report_has_the_keys_that_programs_rely_on() -> None:
    content = json.loads(json.dumps(run(Marks(), Numbers(5), [Collect()]).to_json()))
    assert content["frames"] == 5
    assert content["dropped"] == 0
    assert content["fps"] > 0
    assert content["outputs"] == []
    for age in (content["frame_age_ms"], content["result_age_ms"]):
        assert list(age) == ["p50", "p95", "p99"]
        assert 0 <= age["p50"] <= age["p95"] <= age["p99"]
    assert list(content["stages_ms"]) == ["capture", "infer", "collect"]
    assert content["result_age_ms"]["p50"] <= content["frame_age_ms"]["p99"]
    assert {"promised", "skipped", "problems", "read"} <= set(content)


def test_an_empty_source_gives_an_empty_report() -> None:
    sink = Collect()
    report = run(Marks(), Numbers(0), [sink])
    assert (report.frames, report.fps, report.frame_age_ms["p50"]) == (0, None, None)
    assert not sink.finished
    assert report.lines()[0].startswith("0 frames")


def test_two_sinks_of_a_kind_have_their_own_stage() -> None:
    report = run(Marks(), Numbers(3), [NoneSink(), NoneSink()])
    assert {"none-1", "none-2"} <= set(report.stages_ms)


def test_the_overlay_is_drawn_only_for_sinks_that_want_it() -> None:
    class Wants(Collect):
        wants_overlay = True

    plain, drawn = Collect(), Wants()
    assert "draw" not in run(Marks(), Numbers(2), [plain]).stages_ms
    assert plain.results[0].overlay is None
    assert "draw" in run(Marks(), Numbers(2), [drawn]).stages_ms
    assert drawn.results[0].overlay is not None
    assert drawn.results[0].overlay.shape == (48, 64, 3)


def test_pictures_of_odd_and_changing_size_pass_through(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for index, (width, height) in enumerate([(97, 65), (64, 48), (33, 131)]):
        cv2.imwrite(str(folder / f"{index}.png"), np.full((height, width, 3), 90, np.uint8))
    outputs = [str(tmp_path / "out.mp4"), str(tmp_path / "masks"), str(tmp_path / "out.jsonl")]
    report = run(NullSession(), open_source(str(folder)), open_sinks(outputs))
    assert [sink.frames for sink in report.sinks] == [3, 3, 3]
    mask = cv2.imread(str(tmp_path / "masks" / "2.png"))
    assert mask is not None
    assert mask.shape == (131, 33, 3)


def test_a_file_that_owes_frames_is_finished_and_said(tmp_path: Path) -> None:
    path, output = tmp_path / "cut.avi", tmp_path / "out.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (64, 48))
    noise = np.random.default_rng(0)
    for _ in range(50):
        writer.write(noise.integers(0, 255, (48, 64, 3), dtype=np.uint8))
    writer.release()
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    report = run(NullSession(), open_source(str(path)), open_sinks([str(output)]))
    assert 0 < report.frames < 50
    assert f"delivered {report.frames} of the 50 frames" in report.problems[0]
    assert cv2.VideoCapture(str(output)).get(cv2.CAP_PROP_FRAME_COUNT) == report.frames


def test_broken_pictures_are_in_the_report(tmp_path: Path) -> None:
    for index in range(4):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.zeros((32, 32, 3), np.uint8))
    (tmp_path / "2.png").write_bytes(b"broken")
    sink = Collect()
    report = run(NullSession(), open_source(str(tmp_path)), [sink])
    assert (report.frames, report.skipped, report.promised) == (3, 1, 4)
    assert "2.png" in report.problems[0]


def test_a_file_in_real_time_counts_as_live(tmp_path: Path) -> None:
    write_video(tmp_path / "drive.mp4", GREYS)
    source = open_source(str(tmp_path / "drive.mp4"), SourceOptions(realtime=True))
    report = run(Marks(seconds=0.1), source, [Collect()])
    assert report.dropped > 0
    assert report.frames + report.dropped == report.read == 20
    assert report.problems == ()


def test_a_stream_without_a_sink_or_a_frame_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="NoneSink"):
        run(Marks(), Numbers(1), [])
    with pytest.raises(ValueError, match="at least one frame"):
        run(Marks(), Numbers(1), [NoneSink()], StreamOptions(frames=0))


def test_the_bar_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    run(Marks(), Numbers(5), [NoneSink()], StreamOptions(progress=True, frames=5))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "5/5" in captured.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_sets_the_event_and_handlers_are_put_back(number: int) -> None:
    def handler(_number: int, _frame: object) -> None:
        raise AssertionError("the handler before is not the one now")

    before = signal.signal(number, handler)  # under nohup SIGHUP is ignored, and would stay so
    try:
        with stop_on_signal() as stop:
            assert not stop.is_set()
            signal.raise_signal(number)
            assert stop.is_set()
        assert signal.getsignal(number) is handler
    finally:
        signal.signal(number, before)


ENDLESS = """
import sys
sys.path[:0] = sys.argv[1:3]
from stream_doubles import Marks, Numbers
from pipeline.cli.signals import stop_on_signal
from pipeline.stream import StreamOptions, run
from pipeline.stream.sinks import SinkOptions, open_sinks
with stop_on_signal() as stop:
    sinks = open_sinks(sys.argv[3:], SinkOptions(fps=25.0))
    print("ready", flush=True)
    report = run(Marks(0.005), Numbers(), sinks, StreamOptions(stop=stop))
print(report.frames, report.stopped)
"""


def start_endless(*outputs: Path) -> subprocess.Popen[str]:
    paths = (ROOT / "tests" / "support", ROOT, *outputs)
    arguments = [sys.executable, "-c", ENDLESS, *map(str, paths)]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def wait_for_growth(path: Path) -> None:
    deadline = time.monotonic() + 20
    while not (path.exists() and path.stat().st_size > 2000):
        assert time.monotonic() < deadline, f"{path} does not grow"
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_a_playable_video(tmp_path: Path, number: int) -> None:
    video, lines = tmp_path / "out.mp4", tmp_path / "out.jsonl"
    with start_endless(video, lines) as process:
        wait_for_growth(tmp_path / "out.partial.jsonl")
        process.send_signal(number)
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    frames, stopped = output.split()
    assert stopped == "True"
    capture = cv2.VideoCapture(str(video))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == int(frames) > 0
    assert capture.read()[0]
    assert len(lines.read_text().splitlines()) == int(frames) + 1


def test_a_second_interrupt_quits_at_once(tmp_path: Path) -> None:
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[1])\n"
        "from pipeline.cli.signals import stop_on_signal\n"
        "with stop_on_signal() as stop:\n"
        "    print('ready', flush=True)\n"
        "    while not stop.is_set(): time.sleep(0.01)\n"
        "    print('stopping', flush=True)\n"
        "    time.sleep(60)\n"
    )
    arguments = [sys.executable, "-c", code, str(ROOT)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "stopping\n"
        process.send_signal(signal.SIGINT)
        process.wait(timeout=20)
    assert process.returncode == -signal.SIGINT


def test_streaming_needs_no_torch() -> None:
    code = (
        "import sys, pipeline.stream.runner, pipeline.stream.sources, pipeline.stream.sinks\n"
        "import pipeline.cli.signals\n"
        "import pipeline.stream.sinks.encoder_av, pipeline.runtimes.null\n"
        "assert not {'torch', 'openvino', 'tensorrt', 'onnx'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
