"""Convolutions of signed bytes give the right sums in INT8, also for concatenated tensors."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
import torch
from torch import Tensor, nn

from models.spec import InputSpec
from pipeline.graph.deployment import DeploymentGraph
from pipeline.graph.exported import ExportedGraph
from pipeline.graph.qdq import QDQGraph
from pipeline.runtimes.onnx_export import export_onnx
from pipeline.runtimes.openvino.core import compiled, executed_convolutions
from pipeline.runtimes.openvino.rewrites import rewrite

CHANNELS = 32

#: The convolution in question.
CONVOLUTIONS: dict[str, nn.Conv2d] = {
    "padded": nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1),
    "padded by name": nn.Conv2d(CHANNELS, CHANNELS, 3, padding="same"),
    "padded with a step": nn.Conv2d(CHANNELS, CHANNELS, 3, stride=2, padding=1),
    "without padding or a bias": nn.Conv2d(CHANNELS, CHANNELS, 3, bias=False),
    "of one pixel": nn.Conv2d(CHANNELS, CHANNELS, 1),
    "dilated": nn.Conv2d(CHANNELS, CHANNELS, 3, padding=2, dilation=2),
    "depthwise": nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, groups=CHANNELS),
}


class Network(nn.Module):
    """``inner`` reads one tensor or two concatenated ones, of any sign or the output of a ReLU."""

    def __init__(self, inner: nn.Conv2d, parts: int, signed: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, CHANNELS, 3)
        self.bare = nn.ModuleList(
            nn.Conv2d(CHANNELS, CHANNELS // parts, 1, bias=False) for _ in range(parts)
        )
        self.activation = nn.Identity() if signed else nn.ReLU()
        self.inner, self.last = inner, nn.Conv2d(CHANNELS, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x))
        parts = [self.activation(4 * convolution(x)) for convolution in self.bare]
        return self.last(
            torch.relu(self.inner(parts[0] if len(parts) == 1 else torch.cat(parts, 1)))
        )


@pytest.mark.parametrize(
    ("kind", "parts", "signed"),
    [*itertools.product(CONVOLUTIONS, (1, 2), (True,)), ("padded", 2, False)],
)
def test_openvino_computes_what_the_quantised_graph_computes(
    kind: str, parts: int, signed: bool, tmp_path: Path
) -> None:
    network = Network(CONVOLUTIONS[kind], parts, signed).eval()
    graph = ExportedGraph(DeploymentGraph(network, InputSpec(width=80, height=64)))
    module = QDQGraph(graph, lambda *_: 2.0, (), unsigned=True).with_dtype(torch.float32)
    nodes = list(module.graph.nodes)
    (choice,) = (node for node in nodes if "argmax" in str(node.target))
    nodes[-1].args = ((choice.all_input_nodes[0],),)  # scores instead of classes
    module.recompile()
    frames = torch.randint(0, 256, (1, 64, 80, 3), dtype=torch.uint8)
    with torch.no_grad():
        expected = module(frames)
    export_onnx(module, tmp_path / "graph.onnx")
    model = ov.Core().read_model(tmp_path / "graph.onnx")
    rewrite(ov, model)
    engine = compiled(model, "int8")
    assert executed_convolutions(engine).convolutions["inner"] == "int8"
    # One level of the last convolution's input is 2 / 255; rounding it the other way moves less.
    np.testing.assert_allclose(engine(frames.numpy())[0], expected, atol=0.02)


def test_the_same_values_come_out_in_floating_point() -> None:
    op = ov.opset13
    given = op.parameter([1, 3, 8, 8], np.float32)
    step = np.float32(0.05)
    low, high = np.float32(-128 * step), np.float32(127 * step)
    bounds = (low, high, np.float32(-128), np.float32(127))
    in_bytes = op.convert(op.fake_quantize(given, *bounds, 256), "i8")
    back = op.subtract(op.convert(in_bytes, "f32"), op.constant(np.float32(0)))
    model = ov.Model([op.multiply(back, op.constant(step))], [given], "pair")
    values = np.linspace(-10, 10, 192, dtype=np.float32).reshape(1, 3, 8, 8)
    as_written = {"LP_TRANSFORMS_MODE": "NO"}
    before = compiled(model, "fp32", as_written)(values)[0]
    rewrite(ov, model)
    kinds = [one.get_type_name() for one in model.get_ordered_ops()]
    assert kinds.count("FakeQuantize") == 1
    assert "Convert" not in kinds
    np.testing.assert_allclose(compiled(model, "fp32", as_written)(values)[0], before, atol=1e-6)
