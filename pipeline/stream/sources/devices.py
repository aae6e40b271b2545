"""Cameras, GStreamer and hardware decoders of this machine."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2

_SYSTEM = Path("/sys/class/video4linux")
_DEVICES = Path("/dev")

#: ``VIDIOC_QUERYCAP`` and its structure: driver, card, bus, version, capabilities of the whole
#: camera and of this device file (linux/videodev2.h).
_QUERYCAP = 0x80685600
_CAPABILITY = struct.Struct("16s32s32sIII12x")
_CAPTURES = 0x0000_0001 | 0x0000_1000  # pictures, from one plane or several
_SAYS_OF_DEVICE = 0x8000_0000


@dataclass(frozen=True)
class Camera:
    """A device file of a camera.

    Attributes:
        device: such as ``/dev/video0``.
        name: as its driver states it, empty if it does not.
        usable: whether this user may open it.
    """

    device: str
    name: str
    usable: bool

    def __str__(self) -> str:
        barred = "" if self.usable else ", no permission: add the user to the group video"
        return f"{self.device} ({self.name}{barred})" if self.name or barred else self.device


def cameras(system: Path = _SYSTEM, devices: Path = _DEVICES) -> list[Camera]:
    """List V4L2 cameras by number.

    Device files without pictures are left out; a USB camera has one for metadata.
    """
    found = []
    for device in sorted(devices.glob("video[0-9]*"), key=_number):
        if _may_capture(device):
            usable = os.access(device, os.R_OK | os.W_OK)
            found.append(Camera(str(device), _read(system / device.name / "name"), usable))
    return found


def _may_capture(device: Path) -> bool:
    """Whether the driver says that it captures pictures, or does not answer."""
    answer = bytearray(_CAPABILITY.size)
    try:
        with device.open("rb", buffering=0) as file:
            fcntl.ioctl(file, _QUERYCAP, answer)
    except OSError:  # no permission, or used exclusively
        return True
    return gives_pictures(bytes(answer))


def gives_pictures(capability: bytes) -> bool:
    """Whether a ``struct v4l2_capability`` says that the device file captures pictures."""
    *_, of_camera, of_device = _CAPABILITY.unpack(capability)
    return bool((of_device if of_camera & _SAYS_OF_DEVICE else of_camera) & _CAPTURES)


def has_gstreamer() -> bool:
    """Whether OpenCV can run GStreamer pipelines; a listed backend may be a missing plugin."""
    return bool(cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER))


def gstreamer_elements(names: Sequence[str]) -> list[str]:
    """Return which of the elements this machine's GStreamer has."""
    tool = shutil.which("gst-inspect-1.0")
    if tool is None:
        return []
    found = []
    for name in names:
        command = [tool, "--exists", name]
        try:
            answer = subprocess.run(command, capture_output=True, timeout=10, check=False)
        except (OSError, subprocess.SubprocessError):
            break
        if answer.returncode == 0:
            found.append(name)
    return found


def acceleration_of(capture: cv2.VideoCapture) -> str | None:
    """Return the hardware that decodes an opened video; None for the processor."""
    kind = int(capture.get(cv2.CAP_PROP_HW_ACCELERATION))
    names = {
        cv2.VIDEO_ACCELERATION_D3D11: "D3D11",
        cv2.VIDEO_ACCELERATION_VAAPI: "VAAPI",
        cv2.VIDEO_ACCELERATION_MFX: "MFX",
    }
    return names.get(kind, f"kind {kind}") if kind > 0 else None


def _number(device: Path) -> int:
    digits = re.search(r"\d+", device.name)
    return int(digits[0]) if digits else 0


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
