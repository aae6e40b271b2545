"""The interpreter of TensorRT networks detects errors that a parser could make."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import tensorrt_rtx as trt
import torch
from tensorrt_interpreter import UnknownLayerError, interpret
from torch import nn

from models.spec import InputSpec
from pipeline.graph.deployment import DeploymentGraph
from pipeline.runtimes.onnx_export import export_onnx
from pipeline.runtimes.tensorrt.network import collecting_logger, parse_network


class Small(nn.Module):
    """Layers with asymmetric padding, strides and groups."""

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
    logger = collecting_logger(trt)
    builder = trt.Builder(logger)
    return parse_network(trt, builder, tmp_path / "small.onnx", logger), frame, expected, builder


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


class Hand:
    """A network with the input ``x`` and, as output, the result of ``build``."""

    def __init__(self, shape: Sequence[int], build: Callable[[Hand, trt.ITensor], object]) -> None:
        self._builder = trt.Builder(collecting_logger(trt))
        flags = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        self.network = self._builder.create_network(flags)
        self._kept: list[np.ndarray] = []  # TensorRT does not copy constants
        layer = build(self, self.network.add_input("x", trt.DataType.FLOAT, tuple(shape)))
        layer.get_output(0).name = "y"  # type: ignore[attr-defined]
        self.network.mark_output(layer.get_output(0))  # type: ignore[attr-defined]

    def constant(self, values: object, dtype: type = np.float32) -> trt.ITensor:
        array = np.asarray(values, dtype)
        self._kept.append(array)
        return self.network.add_constant(array.shape, array).get_output(0)

    def compute(self, x: object) -> list[float]:
        (y,) = interpret(self.network, x=torch.tensor(x)).values()
        return y.float().flatten().tolist()


def quantised(
    hand: Hand, x: trt.ITensor, scale: object, to: trt.DataType = trt.DataType.FLOAT
) -> trt.IDequantizeLayer:
    levels = hand.network.add_quantize(x, hand.constant(scale), trt.DataType.INT8)
    return hand.network.add_dequantize(levels.get_output(0), hand.constant(scale), to)


def test_values_are_rounded_to_the_nearest_level_and_halves_to_the_even_one() -> None:
    hand = Hand((7,), lambda hand, x: quantised(hand, x, 0.5))
    found = hand.compute([0.25, 0.75, 1.25, -0.25, -0.75, 0.74, 0.76])
    assert found == [0.0, 1.0, 1.0, 0.0, -1.0, 0.5, 1.0]


def test_values_beyond_the_levels_are_cut_off() -> None:
    hand = Hand((4,), lambda hand, x: quantised(hand, x, 0.5))
    assert hand.compute([63.5, 64.0, -64.0, -99.0]) == [63.5, 63.5, -64.0, -64.0]


@pytest.mark.parametrize(
    ("axis", "expected"), [(0, [1.0, 2.0, 4.0, 4.0]), (1, [1.0, 4.0, 3.0, 4.0])]
)
def test_scales_per_channel_run_along_their_axis(axis: int, expected: list[float]) -> None:
    def build(hand: Hand, x: trt.ITensor) -> object:
        levels = hand.network.add_quantize(x, hand.constant([1.0, 4.0]), trt.DataType.INT8)
        levels.axis = axis
        scale = hand.constant([1.0, 4.0])
        layer = hand.network.add_dequantize(levels.get_output(0), scale, trt.DataType.FLOAT)
        layer.axis = axis
        return layer

    assert Hand((2, 2), build).compute([[1.0, 2.4], [3.0, 4.0]]) == expected


def test_dequantised_values_are_rounded_to_fp16_and_scales_are_not() -> None:
    scale = 1.0009  # in FP16 it would be 1.001
    hand = Hand((1,), lambda hand, x: quantised(hand, x, scale, trt.DataType.HALF))
    assert hand.compute([100 * scale]) == [float(np.float16(100 * np.float32(scale)))]
    assert hand.compute([100 * scale]) != [float(np.float16(100 * np.float16(scale)))]


def test_a_type_that_was_set_and_did_not_take_effect_is_named() -> None:
    """TensorRT keeps the type that was read once, as parsers do, until an input is set again."""
    hand = Hand((1,), lambda hand, x: quantised(hand, x, 0.5))
    assert hand.network.get_output(0).dtype == trt.DataType.FLOAT
    layer = hand.network.get_layer(hand.network.num_layers - 1)
    layer.__class__ = trt.IDequantizeLayer
    layer.to_type = trt.DataType.HALF
    with pytest.raises(UnknownLayerError, match=r"DataType\.HALF, yet DataType\.FLOAT"):
        hand.compute([1.0])


def test_a_zero_point_is_refused() -> None:
    def build(hand: Hand, x: trt.ITensor) -> object:
        scale, zero = hand.constant(0.5), hand.constant(1.0)
        layer = hand.network.add_quantize(x, scale, trt.DataType.INT8)
        layer.set_input(2, zero)
        return layer

    with pytest.raises(UnknownLayerError, match="zero point"):
        Hand((1,), build).compute([1.0])
