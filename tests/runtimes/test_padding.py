"""Zero padding moves into the convolution that reads it; the result stays bit-identical."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from models.efficientnet_lite import SameConv2d
from models.spec import InputSpec
from pipeline.graph.deployment import DeploymentGraph
from pipeline.graph.exported import ExportedGraph
from pipeline.graph.qdq import QDQGraph
from pipeline.runtimes.onnx_export import export_onnx
from pipeline.runtimes.padding import pad_in_convolutions


def constant(name: str, value: object, dtype: type) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(value, dtype), name)


def network(
    pads: Sequence[int] = (0, 0, 0, 1, 0, 0, 2, 1),
    value: float = 0.0,
    zero: int = 0,
    mode: str = "constant",
    other_reader: bool = False,
) -> onnx.ModelProto:
    """Pad, quantise, dequantise, convolve at stride 2 with the convolution's own padding."""
    nodes = [
        helper.make_node("Pad", ["x", "pads", "value"], ["padded"], "pad", mode=mode),
        helper.make_node("QuantizeLinear", ["padded", "scale", "zero"], ["bytes"]),
        helper.make_node("DequantizeLinear", ["bytes", "scale", "zero"], ["back"]),
        helper.make_node("Conv", ["back", "w"], ["y"], strides=[2, 2], pads=[1, 0, 0, 1]),
    ]
    outputs = ["y"] + (["padded"] if other_reader else [])
    graph = helper.make_graph(
        nodes,
        "padded",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 9, 12])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * 4) for name in outputs],
        [
            constant("pads", pads, np.int64),
            constant("value", value, np.float32),
            constant("scale", 0.02, np.float32),
            constant("zero", zero, np.uint8),
            constant("w", np.random.default_rng(1).normal(size=(4, 3, 3, 3)), np.float32),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def result(model: onnx.ModelProto) -> np.ndarray:
    # Without ONNX Runtime's optimiser, which computes Q/DQ differently.
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    x = np.random.default_rng(0).normal(size=(1, 3, 9, 12)).astype(np.float32)
    return np.array(session.run(["y"], {"x": x})[0])


def count(model: onnx.ModelProto, kind: str) -> int:
    return sum(node.op_type == kind for node in model.graph.node)


@pytest.mark.parametrize(
    "pads", [(0, 0, 0, 0, 0, 0, 1, 1), (0, 0, 0, 1, 0, 0, 2, 1), (0, 0, 3, 0, 0, 0, 0, 0)]
)
def test_padding_moves_through_quantising(pads: tuple[int, ...]) -> None:
    model = network(pads)
    expected = result(model)
    pad_in_convolutions(model)
    onnx.checker.check_model(model)
    assert count(model, "Pad") == 0
    assert (result(model) == expected).all()


@pytest.mark.parametrize(
    "other",
    [
        {"value": 1.0},
        {"zero": 128},
        {"mode": "edge"},
        {"other_reader": True},
        {"pads": (0, 1, 0, 0, 0, 0, 1, 1)},
        {"pads": (0, 0, 0, 0, 0, 0, -1, 1)},
    ],
    ids=lambda other: next(iter(other)),
)
def test_other_padding_stays(other: dict[str, object]) -> None:
    model = network(**other)  # type: ignore[arg-type]
    before = model.SerializeToString()
    pad_in_convolutions(model)
    assert model.SerializeToString() == before


@pytest.mark.parametrize("unsigned", [False, True], ids=["tensorrt", "openvino"])
def test_same_padding_at_stride_2_is_no_layer_of_an_int8_file(
    tmp_path: Path, unsigned: bool
) -> None:
    layers = torch.nn.Sequential(
        SameConv2d(3, 4, 3, 2, bias=False),
        torch.nn.ReLU6(),
        SameConv2d(4, 4, 5, 2, groups=4, bias=False),
        torch.nn.ReLU6(),
        torch.nn.Conv2d(4, 5, 1),
    )
    exported = ExportedGraph(DeploymentGraph(layers, InputSpec(height=32, width=48)))
    kept = exported.placement().classifiers
    graph = QDQGraph(exported, lambda _name, _kind: 1.0, kept, unsigned)
    assert graph.placement.int8 == ("2",)
    path = tmp_path / "layers.onnx"
    export_onnx(graph.with_dtype(torch.float32), path)
    model = onnx.load(path)
    assert count(model, "QuantizeLinear") == 1
    assert count(model, "Pad") == 0
    (depthwise,) = [node for node in model.graph.node if node.name == "2"]
    (pads,) = [list(one.ints) for one in depthwise.attribute if one.name == "pads"]
    assert pads == [1, 1, 2, 2]
