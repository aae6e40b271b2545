"""Ensembles of networks."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from models.registry import build_model, model_spec
from models.spec import InputSpec
from pipeline.graph.deployment import DeploymentGraph
from pipeline.graph.ensemble import EnsembleGraph

_SMALL = InputSpec(width=8, height=6)


class Says(nn.Module):
    """Gives every pixel the same logits."""

    def __init__(self, *logits: float) -> None:
        super().__init__()
        self.logits = torch.tensor(logits)

    def forward(self, x: Tensor) -> Tensor:
        return self.logits.view(1, -1, 1, 1).expand(len(x), -1, *x.shape[-2:])


def vote(*graphs: DeploymentGraph) -> Tensor:
    found: Tensor = EnsembleGraph(graphs)(torch.zeros(2, 12, 16, 3, dtype=torch.uint8))
    return found


@pytest.mark.parametrize(
    ("one", "other", "winner"),
    [
        ((2.0, 0.0, 0.0), (0.0, 1.0, 0.0), 0),  # the more certain one
        ((1.0, 0.0, 0.9), (0.0, 1.0, 0.9), 2),  # the second choice of both
        ((9.0, 0.0, 0.0), (0.0, 3.0, 2.9), 0),  # the mean of logits would give the same
        ((3.0, 0.0, 0.0), (-40.0, 0.0, 0.0), 0),  # the mean of logits would give 1
    ],
)
def test_the_highest_mean_probability_wins(
    one: tuple[float, ...], other: tuple[float, ...], winner: int
) -> None:
    graphs = [DeploymentGraph(Says(*logits), _SMALL) for logits in (one, other)]
    found = vote(*graphs)
    assert found.shape == (2, 6, 8)
    assert found.dtype == torch.uint8
    assert (found == winner).all()


def test_a_graph_of_another_size_votes_at_the_size_of_the_first() -> None:
    other = DeploymentGraph(Says(0.0, 9.0), InputSpec(width=5, height=4))
    assert vote(DeploymentGraph(Says(1.0, 0.0), _SMALL), other).shape == (2, 6, 8)


def test_a_network_agrees_with_itself() -> None:
    torch.manual_seed(0)
    spec = model_spec("segnet_lite")
    network, small = build_model(spec), InputSpec(width=64, height=48)
    graph = DeploymentGraph(network, small)
    frames = torch.randint(0, 256, (1, 48, 64, 3)).byte()
    with torch.no_grad():
        assert torch.equal(EnsembleGraph([graph, graph])(frames), graph(frames))
