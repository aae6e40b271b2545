"""The requests to OpenCV for a network camera, and the parts of its URL that are shown."""

from __future__ import annotations

import cv2
import pytest
from camera_double import CameraDouble, plugged_in
from source_reader import read

from pipeline.errors import SourceError
from pipeline.stream.redact import without_password
from pipeline.stream.sources import SourceOptions, network, open_source
from pipeline.stream.sources.network import rtsp_pipeline

URL = "rtsp://user:secret@camera/1"


def asked_of(camera: CameraDouble) -> dict[int, int]:
    """Return the parameters of the last opening, by property."""
    _, backend, parameters = camera.arguments
    assert backend == cv2.CAP_FFMPEG
    assert isinstance(parameters, list)
    return dict(zip(parameters[::2], parameters[1::2], strict=True))


def test_opening_and_reading_end_after_a_second_and_no_thread_holds_frames_back() -> None:
    with plugged_in(CameraDouble()) as camera, open_source(URL) as source:
        assert read(source).index == 0
    assert asked_of(camera) == {
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC: 1000,
        cv2.CAP_PROP_READ_TIMEOUT_MSEC: 1000,
        cv2.CAP_PROP_N_THREADS: 1,
        cv2.CAP_PROP_HW_ACCELERATION: cv2.VIDEO_ACCELERATION_ANY,
    }


def test_hardware_is_left_alone_when_not_wanted() -> None:
    with plugged_in(CameraDouble()) as camera, open_source(URL, SourceOptions(hardware=False)):
        pass
    assert cv2.CAP_PROP_HW_ACCELERATION not in asked_of(camera)


def test_an_older_opencv_is_not_asked_for_what_it_does_not_know(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads = cv2.CAP_PROP_N_THREADS
    monkeypatch.delattr(cv2, "CAP_PROP_N_THREADS")
    with plugged_in(CameraDouble()) as camera, open_source(URL):
        pass
    assert threads not in asked_of(camera)


def test_a_jetson_decodes_rtsp_through_gstreamer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "has_gstreamer", lambda: True)
    monkeypatch.setattr(network, "gstreamer_elements", lambda names: list(names))
    with plugged_in(CameraDouble()) as camera:
        with open_source(URL) as source:
            assert source.name == "rtsp://camera/1"
        assert camera.arguments == (rtsp_pipeline(URL), cv2.CAP_GSTREAMER)
        with open_source("http://camera/1"):
            pass
        assert camera.arguments[1] == cv2.CAP_FFMPEG


def test_a_url_cannot_break_out_of_the_pipeline() -> None:
    pipeline = rtsp_pipeline('rtsp://camera/" ! filesink location="/tmp/x')
    assert r'location="rtsp://camera/\" ! filesink location=\"/tmp/x" protocols' in pipeline


def test_a_file_on_a_web_server_is_no_camera() -> None:
    with plugged_in(CameraDouble()) as camera:
        camera.settings[cv2.CAP_PROP_FRAME_COUNT] = 221
        with pytest.raises(SourceError, match=r"is a file of 221 frames, not a camera; download"):
            open_source("http://server/drive.mp4")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://10.0.0.2:554/cam", "rtsp://10.0.0.2:554/cam"),
        ("rtsp://admin:secret@cam/1", "rtsp://cam/1"),
        ("rtsp://admin:se/cr@et@cam/1", "rtsp://cam/1"),
        ("http://cam/v.cgi?user=admin&pwd=secret&res=1", "http://cam/v.cgi?user=***&pwd=***&res=1"),
        (
            "rtsp://cam/user=a_password=secret_channel=1",
            "rtsp://cam/user=***_password=***_channel=1",
        ),
        ("http://cam/v?token=secret", "http://cam/v?token=***"),
    ],
)
def test_passwords_are_not_shown(url: str, shown: str) -> None:
    assert without_password(url) == shown


def test_the_error_of_a_camera_that_is_not_there_shows_no_password() -> None:
    with plugged_in(CameraDouble()) as camera:
        camera.there = False
        with pytest.raises(SourceError) as caught:
            open_source(URL)
    assert "secret" not in str(caught.value)
    assert "user" not in str(caught.value)
