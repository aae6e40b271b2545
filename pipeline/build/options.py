"""What a user asks of a build."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.graph.frame_sizes import USUAL_SIZES, Sizes
from pipeline.runtimes.compiler import DEFAULT_SETTINGS, BuilderSettings

if TYPE_CHECKING:
    from pipeline.graph.onnx_import import ForeignOptions


@dataclass(frozen=True)
class BuildOptions:
    """What to build.

    Attributes:
        model: registry name; empty for a ``foreign`` network.
        runtime: name in the compiler table.
        precision: one of the runtime's; None for its default.
        size: (width, height) of the network; None for that of the weights.
        batch: smallest, usual and largest number of frames in one run.
        sizes: width and height of the smallest, usual and largest frame.
        output_stride: of networks that leave a choice; None for the registered one.
        weights: file, registered name, ``none``, or None for the best registered ones.
        foreign: an ONNX file with a network that is not of the registry, and what it means.
        targets: GPU architectures; empty for the runtime's default.
        output: folder for the engine.
        name: of the engine's files, in place of the network's; None for that.
        force: replace files that are not ours, or engines of other weights or classes.
        data: labelled folder on which to measure mIoU after the build.
        calibration: for ``int8``: table, folder of pictures or video; None for the registered
            table.
        max_miou_drop: for ``int8``: largest loss of mIoU on ``data``, 0 to 1; None for the default.
        high_precision: for ``int8``: convolutions, or beginnings of their names, that stay in
            floating point.
        front_end: how TensorRT gets the network; None for torch-tensorrt where it is installed,
            else ONNX.
        builder: what TensorRT's builder may do.
        bundle: leave a portable bundle beside the engine; where the runtime is not installed, the
            bundle alone.
    """

    model: str
    runtime: str = "openvino"
    precision: str | None = None
    size: tuple[int, int] | None = None
    batch: tuple[int, int, int] = (1, 1, 1)
    sizes: Sizes = USUAL_SIZES
    output_stride: int | None = None
    weights: str | None = None
    foreign: ForeignOptions | None = None
    targets: tuple[str, ...] = ()
    output: Path = Path("engines")
    name: str | None = None
    force: bool = False
    data: Path | None = None
    calibration: Path | None = None
    max_miou_drop: float | None = None
    high_precision: tuple[str, ...] = ()
    front_end: str | None = None
    builder: BuilderSettings = DEFAULT_SETTINGS
    bundle: bool = False
