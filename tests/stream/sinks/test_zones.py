"""Zones: what is measured in them, when an alert begins and ends, and where it is sent."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stream_doubles import Collect, Marks, Numbers
from webhook_server import webhook

from models.classes import CAMVID
from pipeline.errors import SinkError
from pipeline.stream import run
from pipeline.stream.frame import Frame, Result
from pipeline.stream.own_files import check_outputs
from pipeline.stream.sinks import SinkOptions, numbered, open_sink
from pipeline.stream.sinks.zones import ZoneSink
from pipeline.stream.webhook import Webhook
from pipeline.stream.zone_watch import ZoneWatch
from pipeline.stream.zones import Threshold, Zone, read_zones

LEFT = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
ROAD, CAR = CAMVID.names.index("Road"), CAMVID.names.index("Car")


@pytest.fixture(autouse=True)
def straight(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use no proxy to loopback, and make the pauses between attempts negligible."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr("pipeline.stream.webhook._PAUSES", (0.01, 0.01))


def result(index: int, classes: np.ndarray[Any, Any], size: tuple[int, int] = (80, 40)) -> Result:
    image = np.zeros((size[1], size[0], 3), np.uint8)
    frame = Frame(image, index, 100.0 + index, f"{index:06d}", seconds=float(index))
    return Result(frame, classes.astype(np.uint8), 100.5 + index)


def quarter(rows: int, columns: int, index: int = CAR) -> np.ndarray[Any, Any]:
    """Sky, with one class in the upper left quarter."""
    classes = np.zeros((rows, columns), np.uint8)
    classes[: rows // 2, : columns // 2] = index
    return classes


def zone_file(folder: Path, text: str) -> Path:
    path = folder / "zones.yaml"
    path.write_text(text, encoding="utf-8")
    return path


HALF = """\
zones:
  - name: lane
    polygon: [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]
    classes: [Car]
    above: 40%
    seconds: 2
"""


def test_a_share_is_that_of_the_zone_and_an_area_that_of_the_picture() -> None:
    watch = ZoneWatch(Zone("left", LEFT, ("Car", "Road")), CAMVID)
    measured = watch.measure(result(0, quarter(200, 400), (1600, 800)), 0.0)
    assert measured.share == pytest.approx(0.5, abs=0.01)
    assert measured.shares == {"Road": 0.0, "Car": measured.share}
    assert measured.area == pytest.approx(800 * 400, rel=0.02)


def test_what_lies_outside_of_a_zone_is_not_counted() -> None:
    right = tuple((1 - x, y) for x, y in LEFT)
    watch = ZoneWatch(Zone("right", right, ("Car",)), CAMVID)
    assert watch.measure(result(0, quarter(200, 401)), 0.0).share == 0.0


def test_a_slanted_zone_covers_what_geometry_says() -> None:
    triangle = ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))
    watch = ZoneWatch(Zone("corner", triangle, ("Car",)), CAMVID)
    everything = np.full((300, 400), CAR)
    measured = watch.measure(result(0, everything, (400, 300)), 0.0)
    assert measured.share == 1.0
    assert measured.area == pytest.approx(400 * 300 / 2, rel=0.02)


def test_a_zone_follows_a_class_map_of_another_size() -> None:
    watch = ZoneWatch(Zone("left", LEFT, ("Car",)), CAMVID)
    for rows, columns in [(200, 400), (90, 120), (1, 1), (720, 1280)]:
        measured = watch.measure(result(0, np.full((rows, columns), CAR)), 0.0)
        assert measured.share == 1.0


def test_an_alert_begins_and_ends_after_its_time_and_not_for_a_flicker() -> None:
    zone = Zone("lane", LEFT, ("Car",), Threshold(0.4, False, True, "40%"), seconds=2.0)
    watch = ZoneWatch(zone, CAMVID)
    seen = "0101111101110000"
    events = []
    for second, there in enumerate(seen):
        classes = quarter(20, 40) if there == "1" else np.zeros((20, 40))
        events.append(watch.measure(result(second, classes), float(second)).event)
    # Met from second 3 on; not met for one second, which is too short; not met from second 12 on.
    assert [(n, event) for n, event in enumerate(events) if event] == [(5, "begin"), (14, "end")]


def test_too_little_of_a_class_can_be_an_alert_and_an_area_a_threshold() -> None:
    below = Zone("road", LEFT, ("Road",), Threshold(0.3, False, False, "30%"))
    assert ZoneWatch(below, CAMVID).measure(result(0, quarter(20, 40)), 0.0).event == "begin"
    area = Zone("lane", LEFT, ("Car",), Threshold(700, True, True, "700px"))
    measured = ZoneWatch(area, CAMVID).measure(result(0, quarter(20, 40)), 0.0)
    assert (measured.event, measured.alert) == ("begin", True)
    assert 700 <= measured.area <= 900


def test_a_source_that_begins_again_does_not_silence_a_zone() -> None:
    zone = Zone("lane", LEFT, ("Car",), Threshold(0.4, False, True, "40%"), seconds=2.0)
    watch = ZoneWatch(zone, CAMVID)
    moments = [500.0, 0.0, 1.0, 2.0]
    events = [watch.measure(result(0, quarter(20, 40)), moment).event for moment in moments]
    assert events == [None, None, None, "begin"]


def run_zones(path: Path, frames: str, options: SinkOptions | None = None) -> ZoneSink:
    """Send frames through the sink as a stream does: first observed, then written."""
    options = options or SinkOptions(source="drive.mp4")
    with open_sink(f"zones:{path}", options) as sink:
        assert isinstance(sink, ZoneSink)
        for index, there in enumerate(frames):
            one = result(index, quarter(20, 40) if there == "1" else np.zeros((20, 40)))
            sink.observe(one)
            sink.write(one)
    return sink


def test_lines_have_each_frame_and_its_events(tmp_path: Path) -> None:
    path = zone_file(tmp_path, f"{HALF}lines: {tmp_path}/out.jsonl\n")
    run_zones(path, "0111100000")
    header, *lines = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    assert (header["format"], header["source"]) == ("roadseg-zones", "drive.mp4")
    assert [line["index"] for line in lines] == list(range(10))
    assert lines[4]["zones"]["lane"]["alert"]
    assert lines[4]["zones"]["lane"]["share"] == pytest.approx(0.5, abs=0.05)
    events = [(line["seconds"], one["event"]) for line in lines for one in line["events"]]
    assert events == [(3.0, "begin"), (7.0, "end")]


def test_an_event_of_a_dropped_frame_stands_in_the_next_line(tmp_path: Path) -> None:
    path = zone_file(tmp_path, f"{HALF}lines: {tmp_path}/out.jsonl\n".replace("seconds: 2", ""))
    with open_sink(f"zones:{path}", SinkOptions()) as sink:
        results = [
            result(0, np.zeros((20, 40))),
            result(1, quarter(20, 40)),
            result(2, quarter(9, 9)),
        ]
        for one in results:
            sink.observe(one)
        sink.write(results[0])
        sink.write(results[2])
    _, first, last = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    assert first["events"] == []
    assert [(one["index"], one["event"]) for one in last["events"]] == [
        (1, "begin"),
        (2, "end"),
    ]


def test_a_sink_outside_of_a_stream_measures_what_it_is_given(tmp_path: Path) -> None:
    path = zone_file(tmp_path, f"{HALF}lines: {tmp_path}/out.jsonl\n")
    with open_sink(f"zones:{path}", SinkOptions()) as sink:
        sink.write(result(0, quarter(20, 40)))
    _, line = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    assert line["zones"]["lane"]["share"] == pytest.approx(0.5, abs=0.05)


def test_a_sink_that_was_given_up_keeps_nothing_more(tmp_path: Path) -> None:
    path = zone_file(tmp_path, f"{HALF}lines: {tmp_path}/out.jsonl\n")
    with open_sink(f"zones:{path}", SinkOptions()) as sink:
        assert len(sink.observe(result(0, quarter(20, 40)))) == 1
        sink.abandon()
        assert sink.observe(result(1, quarter(20, 40))) == ()


def test_the_webhook_gets_the_beginning_and_the_end_of_an_alert(tmp_path: Path) -> None:
    with webhook() as server:
        text = f"{HALF}webhook: {server.url}\nheaders: {{Authorization: Bearer abc}}\n"
        run_zones(zone_file(tmp_path, text), "0111100000")
    begin, end = server.bodies
    assert (begin["event"], begin["index"], begin["held_seconds"]) == ("begin", 3, 2.0)
    assert (end["event"], end["index"]) == ("end", 7)
    assert begin["zone"] == "lane"
    assert begin["source"] == "drive.mp4"
    assert begin["classes"] == ["Car"]
    assert begin["above"] == "40%"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00", begin["time"])
    assert server.headers[0]["Authorization"] == "Bearer abc"
    assert server.headers[0]["Content-Type"] == "application/json"


def test_an_alert_is_posted_again_until_it_is_taken(tmp_path: Path) -> None:
    with webhook(503, 429) as server:
        sink = run_zones(zone_file(tmp_path, f"{HALF}webhook: {server.url}\n"), "1111")
    assert [body["event"] for body in server.bodies] == ["begin"] * 3
    assert sink.problems == []


@pytest.mark.parametrize("status", [302, 404])
def test_an_answer_that_stays_is_a_problem_that_keeps_the_secret(
    tmp_path: Path, status: int
) -> None:
    with webhook(status) as server:
        sink = run_zones(zone_file(tmp_path, f"{HALF}webhook: {server.url}\n"), "1111")
    assert len(server.bodies) == 1
    [problem] = sink.problems
    assert f"it answered {status}" in problem
    assert "secret" not in problem


def test_an_address_where_nobody_listens_is_a_problem_and_no_more(tmp_path: Path) -> None:
    with webhook() as server:
        url = server.url
    path = zone_file(tmp_path, f"{HALF}webhook: {url}\nlines: {tmp_path}/out.jsonl\n")
    sink = run_zones(path, "1111")
    assert "cannot be reached" in sink.problems[0]
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 5


def test_a_slow_address_holds_up_no_frame_and_not_the_end(tmp_path: Path) -> None:
    with webhook() as server:
        server.held.clear()
        hook = Webhook(server.url, {})
        for number in range(150):
            hook.post({"number": number})
        deadline = time.monotonic() + 10
        while not server.bodies:
            assert time.monotonic() < deadline
        hook.close(0.05)
        assert any("too slowly" in problem for problem in hook.problems)
        assert any("still waits" in problem for problem in hook.problems) or len(hook.problems) == 5


def test_a_stream_draws_the_marks_and_reports_what_was_not_delivered(tmp_path: Path) -> None:
    with webhook() as server:
        url = server.url
    path = zone_file(tmp_path, f"{HALF}webhook: {url}\n".replace("seconds: 2", ""))

    class Shows(Collect):
        wants_overlay = True

    shown = Shows()
    zones = open_sink(f"zones:{path}", SinkOptions(fps=10.0))
    report = run(Marks(), Numbers(12, size=(120, 160)), [zones, shown])
    assert [[mark.alert for mark in one.marks] for one in shown.results] == [
        [index % 11 == CAR] for index in range(12)
    ]
    calm, alert = shown.results[CAR - 1].overlay, shown.results[CAR].overlay
    assert calm is not None
    assert alert is not None
    blue, _, red = alert[100:110, 20:60].mean(axis=(0, 1))
    assert red > blue + 40
    assert (
        abs(calm[100:110, 20:60].mean(axis=(0, 1)) - calm[100:110, 100:140].mean(axis=(0, 1))).max()
        < 2
    )
    assert len(report.problems) == 2  # an end follows the beginning


def test_each_source_has_its_own_zones_and_lines(tmp_path: Path) -> None:
    path = zone_file(tmp_path, f"{HALF}    source: rear\nlines: {tmp_path}/out.jsonl\n")
    front, rear = (numbered(f"zones:{path}", number) for number in (1, 2))
    for text, source in ((front, "front"), (rear, "rear")):
        with open_sink(text, SinkOptions(source=source)) as sink:
            one = result(0, quarter(20, 40))
            assert len(sink.observe(one)) == (source == "rear")
            sink.write(one)
    assert sorted(one.name for one in tmp_path.glob("*.jsonl")) == ["out-1.jsonl", "out-2.jsonl"]
    with pytest.raises(SinkError, match="only zones of rear, but the source is front"):
        open_sink(f"zones:{path}", SinkOptions(source="front"))


def test_pixels_and_fractions_mean_the_same(tmp_path: Path) -> None:
    pixels = HALF.replace(
        "[[0, 0], [0.5, 0], [0.5, 1], [0, 1]]", "[[0, 0], [640, 0], [640, 720], [0, 720]]"
    )
    by_pixels = read_zones(zone_file(tmp_path, f"{pixels}size: 1280x720\n"))
    assert by_pixels.zones == read_zones(zone_file(tmp_path, HALF)).zones


def test_the_page_is_told_of_the_zones(tmp_path: Path) -> None:
    from pipeline.stream.web.encoding import parts_of

    with open_sink(f"zones:{zone_file(tmp_path, HALF)}", SinkOptions()) as sink:
        one = result(0, quarter(20, 40))
        marks = sink.observe(one)
    message = parts_of(Result(one.frame, one.classes, 0.0, marks=marks), 640, 0.0)
    header = json.loads(message[4 : 4 + int.from_bytes(message[:4], "big")])
    assert header["marks"] == [[[list(corner) for corner in LEFT], marks[0].text, False]]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("zones: []", "zones is"),
        ("zones", "the file is 'zones'"),
        ("zones: [", "cannot be read"),
        (f"{HALF}colour: red", "a key of the file is 'colour'"),
        (HALF.replace("[0.5, 1]", "[5, 1]"), "within the picture"),
        (HALF.replace("[0.5, 1]", "[.nan, 1]"), "corners"),
        (HALF.replace("[[0, 0], [0.5, 0], [0.5, 1], [0, 1]]", "[[0, 0], [1, 1]]"), "three corners"),
        (
            HALF.replace("[[0, 0], [0.5, 0], [0.5, 1], [0, 1]]", "[[0, 0], [1, 1], [0.5, 0.5]]"),
            "enclose",
        ),
        (HALF.replace("above: 40%", "above: much"), "above of lane is 'much'"),
        (HALF.replace("above: 40%", "above: 140%"), "above of lane"),
        (HALF.replace("above: 40%", "above: 1\n    below: 0"), "not both"),
        (HALF.replace("seconds: 2", "seconds: -1"), "seconds of lane is -1"),
        (HALF.replace("classes: [Car]", "classes: Car"), "a list such as"),
        (
            HALF.replace("classes: [Car]", "classes: [Bus]"),
            "has the class Bus, the network has Sky",
        ),
        (f"{HALF}webhook: ftp://x/y", "webhook is not a valid address"),
        (f"{HALF}webhook: http://user:secret@host/", "webhook is not a valid address"),
        (f'{HALF}headers: {{"A: b": c}}', "header"),
        (f'{HALF}headers: {{A: "b\\nc"}}', "header"),
        (f"{HALF}lines: out.mp4", "lines is 'out.mp4'"),
        (f"{HALF}size: 0x0", "size is 0, expected one such as 1280x720"),
    ],
)
def test_a_file_that_is_wrong_is_refused_in_one_line(
    tmp_path: Path, text: str, complaint: str
) -> None:
    path = zone_file(tmp_path, text)
    with pytest.raises(SinkError, match=re.escape(complaint)) as refused:
        open_sink(f"zones:{path}", SinkOptions(source="drive.mp4"))
    assert "\n" not in str(refused.value)
    assert "secret" not in str(refused.value)


def test_an_unknown_class_leaves_no_file_behind(tmp_path: Path) -> None:
    lines = tmp_path / "lines" / "zones.jsonl"
    path = zone_file(tmp_path, f"{HALF.replace('[Car]', '[Bus]')}lines: {lines}\n")
    with pytest.raises(SinkError, match="has the class Bus"):
        open_sink(f"zones:{path}", SinkOptions(source="drive.mp4"))
    assert not lines.parent.exists()


def test_lines_never_write_over_what_is_read(tmp_path: Path) -> None:
    source = Numbers(1)
    drive = tmp_path / "drive.jsonl"
    drive.write_text("{}\n", encoding="utf-8")
    source.files = (drive,)
    path = zone_file(tmp_path, f"{HALF}lines: {drive}\n")
    with pytest.raises(SinkError, match="would write over"):
        check_outputs([source], [f"zones:{path}"])
