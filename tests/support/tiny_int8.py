"""A network of five convolutions, one of them depthwise, quantised without calibration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from models.spec import InputSpec
from pipeline.graph.deployment import DeploymentGraph
from pipeline.graph.exported import ExportedGraph
from pipeline.graph.qdq import QDQGraph
from pipeline.runtimes.compiler import EngineForm, Job
from pipeline.runtimes.registry import open_compiler

#: Layers that the rules of placement put into INT8.
INT8 = ("first", "depthwise", "second")
#: The rest of them where depthwise ones are kept.
DENSE = ("first", "second")


class Tiny(nn.Module):
    """Stem and head stay in floating point by the rules of placement."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.first = nn.Conv2d(16, 32, 3, padding=1)
        self.depthwise = nn.Conv2d(32, 32, 3, padding=1, groups=32)
        self.second = nn.Conv2d(32, 32, 1)
        self.head = nn.Conv2d(32, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(torch.relu(self.stem(x))))
        x = torch.relu(self.second(torch.relu(self.depthwise(x))))
        return self.head(x)


def exported(network: nn.Module | None = None) -> ExportedGraph:
    return ExportedGraph(DeploymentGraph(network or Tiny(), InputSpec(96, 64)))


def quantised(
    graph: ExportedGraph | None = None, kept: Mapping[str, str] | None = None, largest: float = 4.0
) -> QDQGraph:
    """Quantise for TensorRT, which keeps classifiers; every activation has the range -4 to 4."""
    graph = graph or exported()
    choice = dict.fromkeys(graph.placement().classifiers, "classifier") | dict(kept or {})
    return QDQGraph(graph, lambda name, dtype: largest, choice, unsigned=False)


def job(graph: QDQGraph, folder: Path, targets: tuple[str, ...] = ()) -> Job:
    """Return the INT8 build of a graph, for the default targets."""
    found = targets or open_compiler("tensorrt-rtx").check_targets((), "int8")
    return Job(graph, "tiny", "int8", EngineForm(targets=found), folder, graph.placement.int8)
