"""``doctor``: what this machine has, can build and run, and what to install for the rest."""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2

from models.install import install_extra, install_pycuda
from pipeline.cli.outcome import Outcome
from pipeline.errors import RuntimeMissingError
from pipeline.runtimes.openvino.instructions import instructions
from pipeline.runtimes.registry import COMPILERS, SESSIONS, missing, open_compiler
from pipeline.runtimes.tensorrt.cuda.presence import why_no_gpu
from pipeline.stream.sources.devices import Camera, cameras, gstreamer_elements, has_gstreamer
from pipeline.stream.sources.probe import hardware_decoder

#: Packages whose versions decide what works, by distribution name.
PACKAGES = (
    "torch",
    "onnx",
    "openvino",
    "tensorrt",
    "tensorrt-rtx-cu13",
    "torch-tensorrt",
    "torch-tensorrt-rtx",
    "pycuda",
    "nvidia-cuda-nvrtc",
    "opencv-python",
    "av",
    "numpy",
)


@dataclass(frozen=True)
class RuntimeReport:
    """What a runtime can do here.

    Attributes:
        runtime: its name.
        can_build: whether it builds engines here.
        can_bundle: whether bundles can be made, from which another machine builds the engine.
        can_run: whether its engines run here.
        note: what is missing for the rest.
    """

    runtime: str
    can_build: bool
    can_bundle: bool
    can_run: bool
    note: str


@dataclass(frozen=True)
class Report:
    """Everything ``doctor`` found."""

    system: dict[str, str]
    gpus: list[dict[str, str]]
    packages: dict[str, str | None]
    video: dict[str, Any]
    runtimes: list[RuntimeReport]
    advice: list[str]


def run(options: argparse.Namespace) -> Outcome:
    """Examine the machine."""
    report = examine()
    return Outcome(asdict(report), as_text(report))


def examine() -> Report:
    """Look at the machine without changing it; what is missing is reported, not raised."""
    gpus = _gpus()
    packages = {name: _version(name) for name in PACKAGES}
    runtimes = [_runtime(name) for name in sorted(COMPILERS.keys() | SESSIONS.keys())]
    video = _video()
    advice = [*_advice(runtimes, gpus), *gpu_install(gpus), *_camera_advice(video["cameras"])]
    return Report(_system(), gpus, packages, video, runtimes, advice)


def _system() -> dict[str, str]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "os": platform.platform(),
        "cpu": _cpu_name(),
        "cores": str(os.cpu_count()),
        "memory": f"{memory:.1f} GiB",
        "python": sys.version.split()[0],
        "instructions": " ".join(instructions()) or "unknown",
    }


def _cpu_name() -> str:
    match = re.search(r"model name\s*:\s*(.+)", _read("/proc/cpuinfo"))
    return match.group(1).strip() if match else platform.processor() or platform.machine()


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _gpus() -> list[dict[str, str]]:
    """Ask nvidia-smi, which comes with the driver; on Jetson the device tree names the board."""
    board = _read("/proc/device-tree/model").strip("\0\n ")
    if "jetson" in board.lower():
        return [{"name": board, "driver": _read("/etc/nv_tegra_release").strip(), "memory": ""}]
    if shutil.which("nvidia-smi") is None:
        return []
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total,compute_cap"]
    try:
        answer = subprocess.run(
            [*query, "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    keys = ("name", "driver", "memory", "compute_capability")
    return [
        dict(zip(keys, (cell.strip() for cell in line.split(",")), strict=False))
        for line in answer.stdout.splitlines()
    ]


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


#: GStreamer elements that matter: the CSI camera, and decoders of Jetson, NVIDIA, Intel, AMD and
#: small boards.
_ELEMENTS = (
    "nvarguscamerasrc",
    "nvv4l2decoder",
    "nvh264dec",
    "vah264dec",
    "v4l2h264dec",
    "v4l2slh264dec",
)


def _video() -> dict[str, Any]:
    """Try out what OpenCV can open, decode and show."""
    has = cv2.videoio_registry.hasBackend  # listed backends may be plugins that are not there
    return {
        "opencv": cv2.__version__,
        "ffmpeg": has(cv2.CAP_FFMPEG),
        "gstreamer": has_gstreamer(),
        "gstreamer_elements": gstreamer_elements(_ELEMENTS),
        "hardware_decoding": hardware_decoder(),
        "v4l2": has(cv2.CAP_V4L2),
        "cameras": cameras(),
        "display": os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or None,
    }


def _runtime(name: str) -> RuntimeReport:
    notes = []
    can_build = can_run = True
    try:
        open_compiler(name).require()
        if name == "tensorrt" and (absent := why_no_gpu()):
            raise RuntimeMissingError(f"it builds for the GPU of its machine: {absent}")
    except RuntimeMissingError as error:
        can_build = False
        notes.append(str(error))
    if reason := missing(name):
        can_run = False
        notes.append(f"its engines do not run here: {reason}")
    can_bundle = find_spec("torch") is not None  # all are made from PyTorch
    return RuntimeReport(name, can_build, can_bundle, can_run, "; ".join(notes))


def _advice(runtimes: list[RuntimeReport], gpus: list[dict[str, str]]) -> list[str]:
    advice = [f"{r.runtime}: {r.note}" for r in runtimes if r.note]
    if not gpus:
        advice.append(
            "no NVIDIA GPU: engines run on the CPU through OpenVINO; TensorRT for RTX engines can "
            "still be built here for another machine (--runtime tensorrt-rtx --target sm89)"
        )
    return advice


#: Extra of setup.cfg -> compute capabilities that its TensorRT supports. Classic TensorRT supports
#: desktop GPUs as well, but TensorRT for RTX needs no download from NVIDIA.
_EXTRAS = {"rtx": ("7.5", "8.0", "8.6", "8.9", "12.0", "12.1"), "tensorrt": ("9.0", "10.0", "10.3")}


def gpu_install(gpus: list[dict[str, str]]) -> list[str]:
    """Return the command that installs TensorRT for the GPU of this machine, in one line; or none.

    Args:
        gpus: as ``nvidia-smi`` or the device tree tells them.
    """
    if not gpus:
        return []
    name, capability = gpus[0]["name"], gpus[0].get("compute_capability", "")
    if "jetson" in name.lower():
        return [f"{name}: scripts/jetson/setup.sh installs what runs engines here"]
    extra = next((key for key, known in _EXTRAS.items() if capability in known), "tensorrt")
    if extra == "rtx" and re.search(r"\b(A100|A30|A800|L4|L40S?|T4)\b", name):
        extra = "tensorrt"  # data-centre cards of those architectures
    return [f"{name}: {install_pycuda()} and {install_extra(extra)} install what runs engines here"]


def _camera_advice(found: list[Camera]) -> list[str]:
    barred = [camera.device for camera in found if not camera.usable]
    if not barred:
        return []
    return [f"no permission for {', '.join(barred)}: add the user to the group video, log in again"]


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    return str(value) if value else "none"


def as_text(report: Report) -> str:
    """Lay the report out for a terminal."""
    lines = [f"{key:<14}{value}" for key, value in report.system.items()]
    lines += [f"{'gpu':<14}{' '.join(gpu.values())}" for gpu in report.gpus] or [
        f"{'gpu':<14}none found"
    ]
    lines += ["", "packages"]
    lines += [f"  {name:<22}{version or '-'}" for name, version in report.packages.items()]
    lines += ["", "video"]
    for name, value in report.video.items():
        lines.append(f"  {name:<22}{_shown(value)}")
    lines += ["", f"{'runtime':<24}{'build':<8}run"]
    for runtime in report.runtimes:
        builds = "yes" if runtime.can_build else "bundle" if runtime.can_bundle else "no"
        lines.append(f"  {runtime.runtime:<22}{builds:<8}{'yes' if runtime.can_run else 'no'}")
    if report.advice:
        lines += ["", *(f"- {line}" for line in report.advice)]
    return "\n".join(lines)
