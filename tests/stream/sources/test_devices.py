"""A machine's cameras and decoders, as doctor lists them."""

from __future__ import annotations

import os
import struct
from dataclasses import asdict
from pathlib import Path

import pytest

from pipeline.cli import doctor
from pipeline.stream.sources import devices, probe
from pipeline.stream.sources.devices import cameras, gives_pictures


@pytest.fixture
def machine(tmp_path: Path) -> tuple[Path, Path]:
    """Folders like /sys/class/video4linux and /dev, with three cameras."""
    system, dev = tmp_path / "sys", tmp_path / "dev"
    for number, name in ((0, "HD Pro Webcam C920"), (2, ""), (10, "imx219")):
        (dev / f"video{number}").parent.mkdir(exist_ok=True)
        (dev / f"video{number}").touch()
        about = system / f"video{number}"
        about.mkdir(parents=True)
        if name:
            (about / "name").write_text(name + "\n")
    return system, dev


def test_cameras_are_listed_by_number_with_their_names(machine: tuple[Path, Path]) -> None:
    found = cameras(*machine)
    assert [Path(camera.device).name for camera in found] == ["video0", "video2", "video10"]
    assert [camera.name for camera in found] == ["HD Pro Webcam C920", "", "imx219"]
    assert str(found[0]).endswith("dev/video0 (HD Pro Webcam C920)")


def test_a_camera_without_permission_says_so(
    machine: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    found = cameras(*machine)
    assert "no permission: add the user to the group video" in str(found[0])


def test_a_machine_without_cameras_has_none(tmp_path: Path) -> None:
    assert cameras(tmp_path / "sys", tmp_path / "dev") == []


@pytest.mark.parametrize(
    ("of_camera", "of_device", "expected"),
    [
        (0x84A00001, 0x04200001, True),  # a USB camera's pictures
        (0x84A00001, 0x04A00000, False),  # and its metadata
        (0x84201000, 0x04201000, True),  # several planes
        (0x00000001, 0, True),  # a driver that does not tell device files apart
    ],
)
def test_device_files_without_pictures_are_told_apart(
    of_camera: int, of_device: int, expected: bool
) -> None:
    answer = struct.pack("16s32s32sIII12x", b"uvcvideo", b"", b"", 0x60C00, of_camera, of_device)
    assert len(answer) == 104
    assert gives_pictures(answer) is expected


def test_hardware_that_is_not_there_is_not_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "acceleration_of", lambda capture: None)
    assert probe.hardware_decoder() is None


def test_hardware_that_decoded_the_probe_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(probe, "acceleration_of", lambda capture: asked.append(capture) or "VAAPI")
    assert probe.hardware_decoder() == "VAAPI"
    assert len(asked) == 1  # the generated video was decoded


def test_elements_are_asked_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "gst-inspect-1.0"
    tool.write_text('#!/bin/sh\n[ "$2" = nvv4l2decoder ]\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert devices.gstreamer_elements(["nvh264dec", "nvv4l2decoder"]) == ["nvv4l2decoder"]
    monkeypatch.setenv("PATH", "")
    assert devices.gstreamer_elements(["nvv4l2decoder"]) == []


def test_doctor_lists_the_cameras(
    machine: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(doctor, "cameras", lambda: devices.cameras(*machine))
    report = doctor.examine()
    rows = asdict(report)["video"]["cameras"]
    assert rows[0] == {
        "device": str(machine[1] / "video0"),
        "name": "HD Pro Webcam C920",
        "usable": False,
    }
    assert "HD Pro Webcam C920" in doctor.as_text(report)
    assert any(line.startswith("no permission for ") for line in report.advice)
