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
    """What to build, beside the engine's form and how INT8 is found.

    Attributes:
        model: registry name; empty for a ``foreign`` network.
        runtime: name in the compiler table.
        precision: one of the runtime's; None for its default.
        size: (width, height) of the network; None for that of the weights.
        output_stride: of networks that leave a choice; None for the registered one.
        weights: file, registered name, ``none``, or None for the best registered ones.
        foreign: an ONNX file with a network that is not of the registry, and what it means.
        output: folder for the engine.
        name: of the engine's files, in place of the network's; None for that.
        force: replace files that are not ours, or engines of other weights or classes.
        bundle: leave a portable bundle beside the engine; where the runtime is not installed, the
            bundle alone.
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
