"""The page as visitors get it: pictures, numbers, and no visitor slows another one."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from page_client import CameraInHand, get, listen_to_the_end, next_picture, next_words, watch
from prometheus_client.parser import text_string_to_metric_families

from pipeline.errors import RuntimeMissingError, SinkError
from pipeline.stream.sinks.base import SinkOptions
from pipeline.stream.sinks.http import open_http
from pipeline.stream.web import HttpOptions, Limits, Page

_ROOT = Path(__file__).parents[3]


def test_importing_the_page_brings_neither_torch_nor_a_server() -> None:
    code = "import sys, pipeline.stream.web; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=_ROOT, capture_output=True, text=True, check=True
    )
    assert not {"torch", "starlette", "uvicorn", "prometheus_client"} & set(done.stdout.split())


def test_a_page_without_a_camera_opens_nothing() -> None:
    with Page(HttpOptions(port=0)):
        assert "roadseg-page" not in {thread.name for thread in threading.enumerate()}


def test_a_missing_package_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pipeline.stream.web.running", raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(RuntimeMissingError, match=r"uvicorn.*pip install .*\[page\]'"):
        Page(HttpOptions(port=0)).open()


def test_a_taken_port_is_named_with_the_remedy(page: Page) -> None:
    page.open()
    port = int(page.url.rsplit(":", 1)[1].strip("/"))
    with pytest.raises(SinkError, match=rf"port {port} on 127.0.0.1 is in use.*--http-port"):
        Page(HttpOptions(port=port)).open()


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(SinkError, match=r"cannot listen on 192\.0\.2\.1 .*127\.0\.0\.1"):
        Page(HttpOptions("192.0.2.1", 0, "long-enough")).open()


def test_a_browser_gets_the_camera_the_classes_and_the_shares(page: Page) -> None:
    camera = CameraInHand(page)
    with watch(page) as browser:
        assert next_words(browser, "hello")["hello"]["classes"][3] == {
            "name": "Road",
            "colour": [128, 64, 128],
        }
        camera.show()
        shown = next_picture(browser)
    np.testing.assert_array_equal(shown.classes, camera.result(0).classes)
    assert shown.image.shape == (96, 128, 3)
    assert abs(int(shown.image[50, 50, 0]) - 40) < 3
    assert shown.header["shares"][3] == 0.5
    assert shown.header["age_ms"] >= 0


def test_whoever_comes_late_sees_the_last_picture(page: Page) -> None:
    camera = CameraInHand(page)
    for _ in range(3):
        camera.show()
    with watch(page) as browser:
        assert next_picture(browser).header["index"] == 2


def test_wide_pictures_are_made_smaller_in_their_own_shape() -> None:
    with Page(HttpOptions(port=0, limits=Limits(width=100))) as page:
        camera = CameraInHand(page, size=(150, 200))
        camera.show()
        with watch(page) as browser:
            assert next_picture(browser).image.shape == (75, 100, 3)


def test_nothing_is_encoded_while_nobody_watches(page: Page) -> None:
    camera = CameraInHand(page)
    for _ in range(20):
        camera.show()
    assert get(page, "/api/stats").json()["cameras"][0]["encode_ms"]["p50"] is None


def test_a_stalled_browser_slows_neither_the_camera_nor_another_browser(page: Page) -> None:
    camera = CameraInHand(page)
    with watch(page) as stalled, watch(page) as browser:
        next_words(stalled, "hello")
        next_words(browser)
        for index in range(30):
            camera.show()  # returns, no matter what the browsers do
            assert next_picture(browser).header["index"] == index
        one = get(page, "/api/stats").json()["cameras"][0]
        # Two are on their way to the stalled one, one waits in its slot.
        assert one["sent"] == 30 + 2
        assert one["viewer_drops"] == 30 - 3
        assert one["shown"] == 30


def test_a_browser_that_wakes_gets_the_newest_picture_next(page: Page) -> None:
    camera = CameraInHand(page)
    with watch(page) as browser:
        next_words(browser)
        for index in range(2):
            camera.show()
            assert next_picture(browser, answer=False).header["index"] == index
        for _ in range(18):
            camera.show()
        browser.send("a")
        assert next_picture(browser).header["index"] == 19


@pytest.mark.slow
def test_when_all_browsers_stall_nothing_is_encoded_any_more(page: Page) -> None:
    camera = CameraInHand(page)
    with watch(page) as browser:
        next_words(browser)
        for _ in range(3):
            camera.show()
        while camera_is_ready(camera):
            time.sleep(0.05)
        before = get(page, "/api/stats").json()["cameras"][0]["viewer_drops"]
        for _ in range(10):
            camera.show()
        assert get(page, "/api/stats").json()["cameras"][0]["viewer_drops"] == before


def camera_is_ready(camera: CameraInHand) -> bool:
    return bool(camera.sink._camera.pictures.parts.is_ready())  # type: ignore[attr-defined]


def test_mjpeg_plays_in_opencv_with_the_classes_drawn(page: Page) -> None:
    camera = CameraInHand(page, size=(240, 320))
    camera.show()
    stop = threading.Event()

    def show() -> None:
        while not stop.wait(0.03):
            camera.show()

    thread = threading.Thread(target=show)
    thread.start()
    try:
        capture = cv2.VideoCapture(f"{page.url}stream/1.mjpg", cv2.CAP_FFMPEG)
        pictures = [capture.read() for _ in range(5)]
        capture.release()
    finally:
        stop.set()
        thread.join()
    assert all(good for good, _ in pictures)
    image = pictures[-1][1]
    assert image.shape == (240, 320, 3)
    # Road is purple: less green than red and blue, while the camera's picture is grey.
    assert int(image[120, 80, 0]) - int(image[120, 80, 1]) > 15


def test_a_snapshot_is_a_jpeg_of_the_last_picture(page: Page) -> None:
    camera = CameraInHand(page)
    assert get(page, "/snapshot/1.jpg").status == 503
    camera.show()
    answer = get(page, "/snapshot/1.jpg")
    assert answer.headers["Content-Type"] == "image/jpeg"
    image = cv2.imdecode(np.frombuffer(answer.body, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert image.shape == (96, 128, 3)


def test_two_cameras_have_two_tabs_and_pictures_of_their_own(page: Page) -> None:
    front, rear = CameraInHand(page, "front"), CameraInHand(page, "rear", (48, 64))
    front.show()
    rear.show()
    with watch(page, 2) as browser:
        assert next_picture(browser).image.shape == (48, 64, 3)
        words = next_words(browser)
    assert [(one["number"], one["source"]) for one in words["cameras"]] == [
        (1, "front"),
        (2, "rear"),
    ]
    assert words["camera"]["source"] == "rear"


def test_metrics_are_read_by_the_official_parser(page: Page) -> None:
    front, rear = CameraInHand(page, 'fro"nt'), CameraInHand(page, "rear")
    front.show()
    front.show()
    rear.lose()
    answer = get(page, "/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain")
    values = {
        (sample.name, frozenset(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }

    def value(name: str, *labels: str) -> float:
        return values[f"roadseg_{name}", frozenset(labels)]

    assert value("frames_read_total", "1", 'fro"nt') == 2
    assert value("frames_dropped_total", "1", 'fro"nt') == 3
    assert value("source_up", "1", 'fro"nt') == 1
    assert value("source_up", "2", "rear") == 0
    assert value("frame_age_seconds", "1", 'fro"nt', "0.95") == pytest.approx(0.055)
    assert value("stage_seconds", "1", 'fro"nt', "infer", "0.5") == pytest.approx(0.04)
    assert value("class_share", "1", 'fro"nt', "Road") == 0.5
    assert value("sink_failed", "1", 'fro"nt', "video") == 1


def test_health_tells_live_from_starting_lost_stalled_and_ended(page: Page) -> None:
    def answer() -> tuple[int, str]:
        health = get(page, "/healthz")
        return health.status, health.json()["cameras"][0]["state"]

    camera = CameraInHand(page)
    assert answer() == (503, "starting")
    camera.show()
    assert answer() == (200, "live")
    camera.lose()
    assert answer() == (503, "lost")
    camera.come_back()
    camera.show()
    assert answer() == (200, "live")
    camera.sink._camera._moment -= 60  # type: ignore[attr-defined]
    assert answer() == (503, "stalled")
    camera.sink.close()
    assert answer() == (503, "ended")


def test_health_names_the_camera_that_fails_among_others(page: Page) -> None:
    front, rear = CameraInHand(page, "front"), CameraInHand(page, "rear")
    front.show()
    rear.show()
    rear.lose()
    answer = get(page, "/healthz")
    assert answer.status == 503
    assert [one["state"] for one in answer.json()["cameras"]] == ["live", "lost"]
    assert "lost for 0 s" in answer.json()["cameras"][1]["reason"]


def test_a_lost_camera_is_said_to_its_browsers(page: Page) -> None:
    camera = CameraInHand(page)
    camera.show()
    with watch(page) as browser:
        assert next_words(browser)["camera"]["state"] == "live"
        camera.lose()
        assert next_words(browser)["camera"]["state"] == "lost"
        camera.come_back()
        camera.show()
        words = next_words(browser)["camera"]
        assert (words["state"], words["reconnects"]) == ("live", 1)


def test_closing_ends_open_viewers_the_stalled_ones_too(page: Page) -> None:
    camera = CameraInHand(page, size=(1080, 1920))
    with watch(page) as stalled, watch(page) as browser:
        next_words(stalled, "hello")
        for _ in range(5):
            camera.show()
        page.close()
        assert listen_to_the_end(browser) == 1001
    assert "roadseg-page" not in {thread.name for thread in threading.enumerate()}
    camera.show()  # a stream that is still writing is not disturbed


def test_a_sink_that_ends_leaves_the_page_open_for_the_others(page: Page) -> None:
    shared = open_http("http", SinkOptions(page=page.sink))
    assert shared.url == page.url
    shared.close()
    assert get(page, "/api/stats").json()["cameras"][0]["state"] == "ended"
    page.close()
    with pytest.raises(OSError, match="refused"):
        get(page, "/")


def test_without_a_page_the_sink_says_how_to_pass_one() -> None:
    with pytest.raises(SinkError, match=r"SinkOptions\(page=Page\(\)\.sink\)"):
        open_http("http", SinkOptions())
