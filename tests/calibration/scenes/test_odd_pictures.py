"""Pictures that used to be left out, or were nearly black, without a message."""

from __future__ import annotations

import logging
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from calibration.scenes import deep_pictures
from calibration.scenes.dataset import list_pictures, read_picture
from pipeline.stream.sources import open_source


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize(("bits", "bright"), [(12, 4095), (16, 65535)])
def test_pictures_of_more_than_8_bits_are_as_bright_as_they_should_be(
    suffix: str, bits: int, bright: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setattr(deep_pictures, "_said", False)
    ramp = np.linspace(0, bright, 64, dtype=np.uint16)
    picture = np.repeat(np.repeat(ramp[None, :, None], 32, 0), 3, 2)
    assert cv2.imwrite(str(tmp_path / f"p{suffix}"), picture)
    with caplog.at_level(logging.WARNING):
        found = read_picture(tmp_path / f"p{suffix}")
    wanted = (picture / (bright / 255)).astype(int)
    assert np.abs(found.astype(int) - wanted).max() <= 1
    assert ("12-bit" in caplog.text) == (bits == 12)


def test_pictures_that_are_not_read_are_said_to_be_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    image = np.zeros((20, 30, 3), np.uint8)
    for name in ("a.gif", "b.jfif", "c.png"):
        content = cv2.imencode(".jpg" if name.endswith("jfif") else name[1:], image)[1]
        (tmp_path / name).write_bytes(content.tobytes())
    (tmp_path / "d.HEIC").write_bytes(b"whatever")
    with caplog.at_level(logging.WARNING):
        assert [path.name for path in list_pictures(tmp_path)] == ["a.gif", "b.jfif", "c.png"]
    assert "1 pictures are left out" in caplog.text
    assert "d.HEIC" in caplog.text


def test_a_larger_second_track_is_said_to_be_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "two.mp4"
    with av.open(str(path), "w") as container:
        streams = []
        for codec, width, height in (("mjpeg", 64, 48), ("libx264", 320, 240)):
            stream = container.add_stream(codec, rate=10)
            stream.width, stream.height = width, height
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            streams.append(stream)
        for stream in streams:
            image = np.zeros((stream.height, stream.width, 3), np.uint8)
            for _ in range(3):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
            container.mux(stream.encode(None))
    with caplog.at_level(logging.WARNING), open_source(str(path)) as source:
        assert source.read() is not None
    assert "another has 320x240" in caplog.text
