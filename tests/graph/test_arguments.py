"""Arguments that export omits from a node are read as their defaults."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from calibration.quantizer.arguments import argument, source
from calibration.quantizer.signs import never_negative
from models.spec import InputSpec
from pipeline.graph.deployment import DeploymentGraph
from pipeline.graph.exported import ExportedGraph

SPEC = InputSpec(32, 24)
CONVOLUTIONS = (torch.ops.aten.conv2d.default, torch.ops.aten.conv2d.padding)


def exported(network: nn.Module) -> ExportedGraph:
    torch.manual_seed(0)
    return ExportedGraph(DeploymentGraph(network, SPEC))


@pytest.mark.parametrize(
    ("bias", "stride", "padding", "dilation", "groups"),
    [
        *itertools.product((True, False), (1, 2), (0, 1), (1, 2), (1, 4)),
        (False, 1, "valid", 1, 1),
        (False, 1, "same", 1, 1),
    ],
)
def test_arguments_of_a_convolution_are_read_by_name(
    bias: bool, stride: int, padding: int | str, dilation: int, groups: int
) -> None:
    middle = nn.Conv2d(4, 8, 1, stride, padding, dilation, groups, bias=bias)
    network = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.ReLU(), middle, nn.Conv2d(8, 5, 1))
    graph = exported(network)
    node = [n for n in graph.module.graph.nodes if n.target in CONVOLUTIONS][1]
    assert argument(node, "stride") in (stride, [stride, stride])
    assert argument(node, "padding") in (padding, [padding, padding])
    assert argument(node, "dilation") in (dilation, [dilation, dilation])
    assert argument(node, "groups") == groups
    assert (argument(node, "bias") is not None) == bias
    assert never_negative(source(node))
    with pytest.raises(KeyError):
        argument(node, "colour")


@pytest.mark.parametrize(
    ("activation", "positive"),
    [
        (nn.ReLU(), True),
        (nn.ReLU6(), True),
        (nn.Hardtanh(), False),
        (nn.Hardtanh(0.0, 1.0), True),
        (nn.Identity(), False),
    ],
)
def test_the_sign_of_an_activation_is_known_by_its_limits(
    activation: nn.Module, positive: bool
) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), activation, nn.Conv2d(4, 5, 1))
    node = [n for n in exported(network).module.graph.nodes if n.target in CONVOLUTIONS][1]
    assert never_negative(source(node)) == positive


@pytest.mark.parametrize("affine", [True, False])
def test_batch_norms_without_scale_and_shift_are_written_down(affine: bool) -> None:
    class Late(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, affine=affine)
            self.last = nn.Conv2d(4, 5, 1)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.last(self.norm(torch.relu(self.first(x))))
            return y

    network = Late()
    nn.init.uniform_(network.norm.running_var, 0.5, 2.0)  # type: ignore[arg-type]
    graph = exported(network)
    assert not graph.module.graph.find_nodes(
        op="call_function", target=torch.ops.aten.batch_norm.default
    )
    frames = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 96, 128, 3), np.uint8))
    assert torch.equal(graph.module(frames), graph.graph(frames))
