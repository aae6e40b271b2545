"""What a user says about a foreign network because its file does not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class ForeignOptions:
    """A segmentation network in an ONNX file.

    Attributes:
        path: of the file.
        classes: class file, a line per output channel (see ``calibration.scenes.class_file``).
        mean, std: of the input, grey levels 0..255 in the order of ``order``; both or neither.
        order: channel order that the network expects; None for RGB.
        layout: of the input; None to read it from the file.
        output: tensor with the logits, any of the file; None to find it.
        threshold: of an output with one channel, for two classes: above it the second is meant;
            None to find it.
        memory: bytes that trying the file out may take.
        seconds: of a processor's time that it may take.
    """

    path: Path
    classes: Path
    mean: Triple | None = None
    std: Triple | None = None
    order: Literal["rgb", "bgr"] | None = None
    layout: Literal["nchw", "nhwc"] | None = None
    output: str | None = None
    threshold: float | None = None
    memory: int = 4 << 30
    seconds: int = 120
