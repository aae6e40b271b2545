"""CSI cameras: the pipeline that OpenCV gets, and the message where it cannot run."""

from __future__ import annotations

import cv2
import pytest
from camera_double import CameraDouble, plugged_in
from source_reader import read

from pipeline.errors import SourceError
from pipeline.stream.sources import CameraOptions, SourceOptions, open_source


@pytest.fixture
def gstreamer(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenCV as JetPack builds it."""
    monkeypatch.setattr(cv2.videoio_registry, "hasBackend", lambda backend: True)


@pytest.mark.usefixtures("gstreamer")
@pytest.mark.parametrize(
    ("text", "asked", "expected"),
    [
        ("csi", CameraOptions(), ("sensor-id=0", "width=1280, height=720", "framerate=30/1")),
        (
            "csi:1",
            CameraOptions(size=(1920, 1080), fps=29.97),
            ("sensor-id=1", "width=1920, height=1080", "framerate=29970/1000"),
        ),
    ],
)
def test_a_csi_camera_is_asked_for_sensor_size_and_rate(
    text: str, asked: CameraOptions, expected: tuple[str, ...]
) -> None:
    with (
        plugged_in(CameraDouble()) as camera,
        open_source(text, SourceOptions(camera=asked)) as source,
    ):
        assert read(source).index == 0
        assert (source.name, source.live) == (text, True)
    pipeline, backend = camera.arguments
    assert backend == cv2.CAP_GSTREAMER
    assert isinstance(pipeline, str)
    assert pipeline.startswith("nvarguscamerasrc ")
    assert pipeline.endswith("appsink drop=true max-buffers=1 sync=false")
    assert all(part in pipeline for part in expected)


@pytest.mark.usefixtures("gstreamer")
def test_a_csi_camera_that_is_not_there_says_what_to_check() -> None:
    with plugged_in(CameraDouble()) as camera:
        camera.there = False
        with pytest.raises(SourceError, match=r"csi:3 gives no picture.*nvargus-daemon"):
            open_source("csi:3")


def test_without_gstreamer_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2.videoio_registry, "hasBackend", lambda backend: False)
    with pytest.raises(SourceError, match=r"csi needs an OpenCV with GStreamer.*JetPack's"):
        open_source("csi")


def test_a_sensor_is_a_number() -> None:
    with pytest.raises(SourceError, match=r"csi:left names no sensor; give csi or csi:NUMBER"):
        open_source("csi:left")
