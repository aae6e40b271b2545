"""What is requested of camera drivers, and the message when they deliver something else."""

from __future__ import annotations

import logging
import threading

import cv2
import pytest
from camera_double import CameraDouble
from source_reader import read

from pipeline.errors import SourceError
from pipeline.stream.sources import CameraOptions, SourceOptions, open_source


def test_a_camera_is_asked_for_format_size_and_rate_in_this_order(camera: CameraDouble) -> None:
    asked = CameraOptions(size=(128, 96), fps=30, fourcc="MJPG")
    with open_source("0", SourceOptions(camera=asked)) as source:
        assert read(source).image.shape == (96, 128, 3)
        assert source.fps == 30
    assert camera.settings[cv2.CAP_PROP_FOURCC] == cv2.VideoWriter.fourcc(*"MJPG")
    assert camera.asked == [
        cv2.CAP_PROP_FOURCC,
        cv2.CAP_PROP_FRAME_WIDTH,
        cv2.CAP_PROP_FRAME_HEIGHT,
        cv2.CAP_PROP_FPS,
        cv2.CAP_PROP_BUFFERSIZE,
    ]
    assert camera.settings[cv2.CAP_PROP_BUFFERSIZE] == 1
    assert camera.arguments == (0, cv2.CAP_V4L2)


def test_a_returning_camera_is_asked_again(camera: CameraDouble) -> None:
    asked = CameraOptions(size=(128, 96))
    with open_source("0", SourceOptions(camera=asked)) as source:
        read(source)
        camera.there = False
        camera.size = (64, 48)
        camera.settings.clear()
        threading.Timer(0.2, setattr, (camera, "there", True)).start()
        while source.health().reconnects < 1:
            frame = read(source)
    assert frame.image.shape == (96, 128, 3)


def test_nothing_but_one_buffer_is_asked_for_without_options(camera: CameraDouble) -> None:
    with open_source("0") as source:
        read(source)
    assert camera.asked == [cv2.CAP_PROP_BUFFERSIZE]


def test_a_driver_that_gives_something_else_is_named_once(
    camera: CameraDouble, caplog: pytest.LogCaptureFixture
) -> None:
    camera.obeys = False
    camera.settings[cv2.CAP_PROP_FOURCC] = cv2.VideoWriter.fourcc(*"YUYV")
    asked = CameraOptions(size=(1280, 720), fps=30, fourcc="MJPG")
    with open_source("0", SourceOptions(camera=asked)) as source:
        read(source)
        camera.there = False
        threading.Timer(0.1, setattr, (camera, "there", True)).start()
        while source.health().reconnects < 1:
            read(source)
    lines = [record.getMessage() for record in caplog.records if "asked for" in record.message]
    assert [line.split(";")[0] for line in lines] == [
        "camera 0 was asked for format MJPG and gives YUYV",
        "camera 0 was asked for size 1280x720 and gives 64x48",
        "camera 0 was asked for rate 30 and gives 100",
    ]
    assert all(record.levelno == logging.WARNING for record in caplog.records)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"size": (0, 480)}, "the camera size is 0x480"),
        ({"fps": -1}, "the camera rate is -1"),
        ({"fourcc": "MJPEG"}, "the camera format is 'MJPEG'"),
    ],
)
def test_options_that_no_camera_has_are_refused(values: dict[str, object], expected: str) -> None:
    with pytest.raises(SourceError, match=expected):
        CameraOptions(**values)  # type: ignore[arg-type]
