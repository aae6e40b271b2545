"""The interpreter of TensorRT networks notices what a parser could get wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
import tensorrt_rtx as trt
import torch
from tensorrt_interpreter import UnknownLayerError, interpret
from torch import nn

from models.spec import InputSpec
from pipeline.compilers.onnx_export import export_onnx
from pipeline.compilers.tensorrt_network import CollectingLogger, parse_network
from pipeline.deploy import DeploymentGraph


class Small(nn.Module):
    """A bit of everything that has a side, a stride or a group."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 4, (3, 5), (2, 1), (1, 2))
        self.depthwise = nn.Conv2d(4, 8, 3, padding=2, dilation=2, groups=4)
        self.up = nn.ConvTranspose2d(8, 11, (4, 3), (2, 1), 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.up(torch.relu(self.depthwise(self.down(x))))


@pytest.fixture
def parsed(tmp_path: Path) -> tuple[trt.INetworkDefinition, torch.Tensor, torch.Tensor, object]:
    """Network, frame, PyTorch's class map, and the builder that owns the network."""
    torch.manual_seed(0)
    graph = DeploymentGraph(Small(), InputSpec(width=66, height=64))
    frame = torch.randint(0, 256, (1, 70, 80, 3), dtype=torch.uint8)
    with torch.no_grad():
        expected = graph(frame)
    export_onnx(graph, tmp_path / "small.onnx")
    logger = CollectingLogger()
    builder = trt.Builder(logger)
    return parse_network(builder, tmp_path / "small.onnx", logger), frame, expected, builder


def test_a_network_read_back_computes_what_pytorch_computes(parsed) -> None:  # type: ignore[no-untyped-def]
    network, frame, expected, _ = parsed
    (computed,) = interpret(network, frames=frame).values()
    assert (computed == expected).float().mean() > 0.999


def convolution(network: trt.INetworkDefinition, kind: trt.LayerType) -> object:
    layers = (network.get_layer(i) for i in range(network.num_layers))
    return next(layer for layer in layers if layer.type == kind)


def test_a_changed_kernel_changes_the_result(parsed) -> None:  # type: ignore[no-untyped-def]
    network, frame, expected, _ = parsed
    layer = convolution(network, trt.LayerType.CONVOLUTION)
    layer.__class__ = trt.IConvolutionLayer
    flipped = layer.kernel.copy()[::-1].copy()
    layer.kernel = trt.Weights(flipped)
    (computed,) = interpret(network, frames=frame).values()
    assert (computed == expected).float().mean() < 0.9


def test_a_changed_padding_moves_the_result(parsed) -> None:  # type: ignore[no-untyped-def]
    network, frame, expected, _ = parsed
    layer = convolution(network, trt.LayerType.CONVOLUTION)
    layer.__class__ = trt.IConvolutionLayer
    layer.pre_padding, layer.post_padding = (1, 3), (1, 1)
    (computed,) = interpret(network, frames=frame).values()
    assert (computed == expected).float().mean() < 0.9


def test_a_layer_without_a_rule_is_named(parsed) -> None:  # type: ignore[no-untyped-def]
    network, frame, _, _ = parsed
    network.add_softmax(network.get_output(0))
    network.add_identity(network.get_input(0))
    with pytest.raises(UnknownLayerError, match="no rule for"):
        interpret(network, frames=frame)
