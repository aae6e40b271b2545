"""The overlay on the GPU: compiled for every GPU, and equal to the processor's."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from device_double import GpuDouble
from host_kernel import HostKernel

from models.classes import CAMVID
from pipeline.errors import RuntimeMissingError
from pipeline.runtimes.session import Tint
from pipeline.runtimes.tensorrt.cuda import nvrtc
from pipeline.runtimes.tensorrt.cuda.painting import (
    Canvas,
    Painter,
    kernel_source,
    nearest,
    overlay_image,
)
from pipeline.stream.overlay import Overlay, OverlayOptions

#: TensorRT for RTX's targets, data-centre GPUs, and Jetson's Orin and Thor.
ARCHITECTURES = ("sm75", "sm80", "sm86", "sm87", "sm89", "sm90", "sm110", "sm120", "sm121")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_kernel_compiles_for_every_gpu(architecture: str) -> None:
    image = overlay_image(architecture)
    assert image.startswith(b"\x7fELF")
    assert b".text.overlay" in image


def test_nothing_is_loaded_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NVRTC loads its second library from next to the first; anyone may own the working folder."""
    (tmp_path / "libnvrtc-builtins.so.13").write_bytes(b"not ours")
    (tmp_path / "nvidia" / "x" / "lib").mkdir(parents=True)
    (tmp_path / "nvidia" / "x" / "lib" / "libnvrtc.so.13").write_bytes(b"not ours")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    loaded: list[str] = []

    def cdll(name: str) -> None:
        loaded.append(name)
        raise OSError("not there")

    monkeypatch.setattr(nvrtc.ctypes, "CDLL", cdll)
    nvrtc._library.cache_clear()
    try:
        with pytest.raises(RuntimeMissingError):
            nvrtc._library()
    finally:
        nvrtc._library.cache_clear()
    assert "libnvrtc.so" in loaded
    assert not [name for name in loaded if "builtins" in name and not Path(name).is_absolute()]
    assert not [name for name in loaded if name.startswith(("nvidia", str(tmp_path)))]


def test_an_unknown_gpu_is_named_with_those_that_are_known() -> None:
    with pytest.raises(RuntimeMissingError, match=r"does not compile .* for sm999 .* knows .*sm89"):
        nvrtc.compile_cubin(kernel_source(), "sm999")


def test_a_mistake_in_the_source_is_quoted() -> None:
    with pytest.raises(RuntimeMissingError, match="nonsense"):
        nvrtc.compile_cubin("__global__ void f() { nonsense(); }", "sm89")


@pytest.mark.parametrize("count", [1, 45, 360, 480])
@pytest.mark.parametrize("size", [64, 321, 480, 720, 1280, 1920, 3840])
def test_pixels_look_where_opencv_looks(count: int, size: int) -> None:
    row = np.random.default_rng(0).integers(0, 256, (1, count), dtype=np.uint8)
    enlarged = cv2.resize(row, (size, 1), interpolation=cv2.INTER_NEAREST)
    assert np.array_equal(row[0, nearest(count, size)], enlarged[0])


@pytest.mark.parametrize("opacity", [0.0, 0.3, 0.5, 0.72, 1.0])
@pytest.mark.parametrize("size", [(720, 1280), (90, 121), (1080, 1919)])
def test_gpu_and_processor_paint_one_picture(
    host_kernel: HostKernel, opacity: float, size: tuple[int, int]
) -> None:
    random = np.random.default_rng(1)
    frames = random.integers(0, 256, (2, *size, 3), dtype=np.uint8)
    classes = random.integers(0, 13, (2, 360, 480), dtype=np.uint8)
    overlay = Overlay(CAMVID, OverlayOptions(opacity=opacity, legend=False))
    assert overlay.tint is not None
    painted = _painted(host_kernel, frames, classes, overlay.tint)
    for frame, labels, found in zip(frames, classes, painted, strict=True):
        coloured = overlay._coloured(labels, (size[1], size[0]))
        expected = cv2.addWeighted(frame, 1 - opacity, coloured, opacity, 0)
        assert cv2.absdiff(found, expected).max() <= 1


def _painted(kernel: HostKernel, frames: np.ndarray, classes: np.ndarray, tint: Tint) -> np.ndarray:
    gpu = GpuDouble(kernel)
    with gpu.active():
        stream = gpu.stream()
        memories = [gpu.host_memory(size) for size in (frames.size, classes.size, frames.size)]
        memories[0].array[:], memories[1].array[:] = frames.ravel(), classes.ravel()
        painter = Painter(gpu, classes.shape[1:], stream)
        canvas = Canvas(*(memory.address for memory in memories), frames.shape[:3])
        painter.paint(canvas, tint)
        stream.synchronize()
        blended = memories[2].array.reshape(frames.shape).copy()
        for thing in (painter, *memories, stream):
            thing.release()
    assert not gpu.ledger.held
    return blended


def test_fine_edges_are_the_processors_work() -> None:
    assert Overlay(CAMVID, OverlayOptions(fine_edges=True)).tint is None


def test_an_old_driver_is_named_with_the_compiler_that_it_needs(
    host_kernel: HostKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = GpuDouble(host_kernel)
    monkeypatch.setattr(nvrtc, "version", lambda: (99, 1))
    with gpu.active(), pytest.raises(RuntimeMissingError, match=r"CUDA 99\.1.* up to CUDA 13\.0"):
        Painter(gpu, (90, 120), gpu.stream())
