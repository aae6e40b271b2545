"""What a user asks of a build."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.quantization.options import Int8Options
from pipeline.runtimes.compiler import EngineForm

if TYPE_CHECKING:
    from pipeline.graph.onnx_import import ForeignOptions


@dataclass(frozen=True)
class BuildOptions(EngineForm, Int8Options):
    """What to build, in addition to the engine's form and the options of INT8.

    Attributes:
        model: registry name; empty for a ``foreign`` network.
        runtime: name in the compiler table.
        precision: one of the runtime's; None for its default.
        size: (width, height) of the network; None for that of the weights.
        output_stride: of networks that have several; None for the registered one.
        weights: file, registered name, ``none``, or None for the best registered ones.
        foreign: an ONNX file with a network of another project, and what the user says about it.
        output: folder for the engine.
        name: of the engine's files; None for the network's.
        force: replace files that are not ours, or engines of other weights or classes.
        bundle: write a portable bundle beside the engine, or only the bundle where the runtime is
            not installed.
    """

    model: str
    runtime: str = "openvino"
    precision: str | None = None
    size: tuple[int, int] | None = None
    output_stride: int | None = None
    weights: str | None = None
    foreign: ForeignOptions | None = None
    output: Path = Path("engines")
    name: str | None = None
    force: bool = False
    bundle: bool = False
