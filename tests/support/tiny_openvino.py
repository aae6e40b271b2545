"""An engine of three convolutions with random weights, made only with OpenVINO, no PyTorch."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from models.classes import ClassSet
from models.spec import InputSpec, LoadedWeights
from pipeline.engine.manifest import (
    Engine,
    LayerPrecisions,
    Manifest,
    describe_file,
    load_engine,
    write_manifest,
)
from pipeline.engine.records import FrameRange

CLASSES = ClassSet(
    ("Road", "Car", "Sky", "Tree", "Pole"),
    ((128, 64, 128), (0, 0, 142), (70, 130, 180), (107, 142, 35), (153, 153, 153)),
)


def write_engine(
    folder: Path, name: str = "tiny", size: tuple[int, int] = (96, 64), channels: int = 24
) -> Engine:
    """Write an engine: uint8 frames (1, H, W, 3) in, uint8 class maps (1, h, w) out.

    Its classes depend on small pixel differences, unlike those of a trained network.
    """
    rng = np.random.default_rng(7)
    width, height = size
    frames = ops.parameter([-1, -1, -1, 3], np.uint8, name="frames")
    x = ops.convert(ops.transpose(frames, [0, 3, 1, 2]), np.float32)
    x = ops.interpolate(x, [height, width], "linear", "sizes", axes=[2, 3])
    x = ops.divide(x, np.float32(128))
    ways = (3, channels, channels, len(CLASSES))
    for ins, outs in pairwise(ways):
        weights = rng.normal(0, (2 / (9 * ins)) ** 0.5, (outs, ins, 3, 3)).astype(np.float32)
        x = ops.relu(ops.convolution(x, weights, [1, 1], [1, 1], [1, 1], [1, 1]))
    best = ops.topk(x, 1, 1, "max", "none").output(1)
    classes = ops.convert(ops.squeeze(best, [1]), np.uint8)
    classes.set_friendly_name("classes")
    classes.output(0).get_tensor().set_names({"classes"})
    frames.output(0).get_tensor().set_names({"frames"})
    folder.mkdir(parents=True, exist_ok=True)
    ov.save_model(ov.Model([classes], [frames], name), folder / f"{name}.xml", False)
    manifest = Manifest(
        name=name,
        model=name,
        variant={},
        weights=LoadedWeights("random", None),
        classes=CLASSES,
        input=InputSpec(width, height),
        frames=FrameRange(smallest=16, largest=3840),
        precision="fp32",
        layers=LayerPrecisions("network", {}),
        runtime="openvino",
        runtime_version=ov.get_version(),
        targets=(),
        files=tuple(describe_file(folder / f"{name}{suffix}") for suffix in (".xml", ".bin")),
    )
    return load_engine(write_manifest(folder, manifest))
