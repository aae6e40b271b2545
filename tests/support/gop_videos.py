"""Videos with open groups of pictures and B-frames, which cannot be cut at any frame."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np

#: x264: regular key frames whose leading B-frames need the previous group.
OPEN_GOPS = "open-gop=1:keyint=16:bframes=3:scenecut=0"


def write_gops(
    path: Path,
    frames: int,
    codec: str = "libx264",
    parameters: str = OPEN_GOPS,
    size: tuple[int, int] = (96, 64),
) -> Path:
    """Write a scene that moves, so that every frame differs from every other."""
    width, height = size
    rng = np.random.default_rng(frames)
    blocks = rng.integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    scene = np.asarray(cv2.resize(blocks, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    options = {}
    if codec in {"libx264", "libx265"}:
        options = {"preset": "veryfast", f"{codec[3:]}-params": f"log-level=-1:{parameters}"}
        if codec == "libx264":
            options["x264-params"] = parameters
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        if codec == "mpeg4":
            stream.codec_context.gop_size = 16
        for number in range(frames):
            image = np.roll(scene, number, axis=1)
            image[:8, :8] = number % 251
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode(None))
    return path


def damage(path: Path, source: Path, begin: float = 0.5, length: int = 400) -> Path:
    """Copy a video with some bytes of its middle overwritten."""
    data = bytearray(source.read_bytes())
    place = int(len(data) * begin)
    data[place : place + length] = bytes(length)
    path.write_bytes(data)
    return path
