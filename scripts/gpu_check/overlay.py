"""The overlay kernel against the processor's picture, at all opacities and odd sizes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import cv2
import numpy as np

from models.classes import CAMVID
from pipeline.runtimes.tensorrt.cuda.driver import open_gpu
from pipeline.runtimes.tensorrt.cuda.gpu import Gpu, Stream
from pipeline.runtimes.tensorrt.cuda.painting import Canvas, Painter
from pipeline.stream.overlay import Overlay, OverlayOptions

_SIZES = ((1, 1), (1, 33), (31, 8), (33, 65), (90, 121), (719, 1279), (1080, 1919), (2161, 3839))
_MAPS = ((1, 1), (90, 120), (360, 480), (359, 479))


def measure(write: Callable[..., None], scale: float) -> None:
    """Paint every size over every map at opacities from 0 to 1; count pixels that differ."""
    gpu = open_gpu()
    steps = max(2, int(21 * scale))
    sizes = _SIZES[: max(3, int(len(_SIZES) * scale))]
    opacities = [place / (steps - 1) for place in range(steps)]
    worst, differing, pixels, pictures = 0, 0, 0, 0
    with gpu.active(), ExitStack() as stack:
        stream = gpu.stream()
        stack.callback(stream.release)
        for map_size in _MAPS:
            painter = Painter(gpu, map_size, stream)
            with ExitStack() as painting:
                painting.callback(painter.release)
                for size in sizes:
                    for opacity in opacities:
                        found = _difference(gpu, painter, stream, map_size, size, opacity)
                        worst = max(worst, int(found.max()))
                        differing += int((found > 0).sum())
                        pixels, pictures = pixels + found.size, pictures + 1
            write(pictures=pictures, pixels=pixels, differing=differing, largest_difference=worst)
    if worst > 1:
        write(failed=f"the GPU's picture differs from the processor's by {worst} grey levels")


def _difference(
    gpu: Gpu,
    painter: Painter,
    stream: Stream,
    map_size: tuple[int, int],
    size: tuple[int, int],
    opacity: float,
) -> np.ndarray:
    random = np.random.default_rng(pixels := size[0] * size[1])
    frame = random.integers(0, 256, (*size, 3), dtype=np.uint8)
    classes = random.integers(0, len(CAMVID), map_size, dtype=np.uint8)
    overlay = Overlay(CAMVID, OverlayOptions(opacity=opacity, legend=False))
    if overlay.tint is None:
        raise AssertionError("the overlay has no tint for a GPU")
    with ExitStack() as stack:
        host = gpu.host_memory(3 * pixels)
        labels = gpu.host_memory(classes.size)
        blended = gpu.device_memory(3 * pixels)
        for memory in (host, labels, blended):
            stack.callback(memory.release)
        host.array[:], labels.array[:] = frame.ravel(), classes.ravel()
        painter.paint(
            Canvas(host.address, labels.address, blended.address, (1, *size)), overlay.tint
        )
        stream.synchronize()
        gpu.copy_out(host.array, blended, stream)
        stream.synchronize()
        found = host.array.reshape(frame.shape).copy()
    coloured = overlay._coloured(classes, (size[1], size[0]))
    expected = cv2.addWeighted(frame, 1 - opacity, coloured, opacity, 0)
    return cv2.absdiff(found, expected)
