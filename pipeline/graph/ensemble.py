"""Several networks as one: the mean of their probabilities for every pixel."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.graph.deployment import DeploymentGraph


class EnsembleGraph(nn.Module):
    """Deployment graphs as one: the class with the highest mean probability.

    DeconvNet's paper combines it with FCN in this way (Noh et al. 2015), before its CRF. The
    probabilities are averaged at the first graph's size; each graph has its own normalisation.

    Args:
        graphs: of the same classes in the same order, at least one.
    """

    def __init__(self, graphs: Sequence[DeploymentGraph]) -> None:
        super().__init__()
        self.graphs = nn.ModuleList(graphs)
        self.size, self.dtype = graphs[0].size, graphs[0].dtype

    def forward(self, frames: Tensor) -> Tensor:
        """Segment (N, H, W, 3) uint8 BGR frames: (N, h, w) uint8, ties go to the lower class."""
        mean = torch.stack([self._probabilities(graph, frames) for graph in self.graphs]).mean(0)
        return mean.argmax(1).to(torch.uint8)

    def _probabilities(self, graph: nn.Module, frames: Tensor) -> Tensor:
        assert isinstance(graph, DeploymentGraph)
        found: Tensor = graph.network(graph.preprocess(frames)).softmax(1)
        if found.shape[-2:] == self.size:
            return found
        return F.interpolate(found, size=self.size, mode="bilinear", align_corners=False)
