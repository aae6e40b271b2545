"""The meaning of one-channel outputs: the engine's classes equal ONNX Runtime's on the file."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from foreign_networks import SIZE, Then, class_file, export
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from pipeline.errors import BuildError
from pipeline.graph.onnx_import import ForeignOptions, open_foreign

Tail = Callable[[Tensor], Tensor]


def small(channels: int = 1) -> nn.Module:
    torch.manual_seed(3)
    network = nn.Conv2d(3, channels, 5, padding=2)
    nn.init.normal_(network.weight, std=0.3)
    nn.init.constant_(network.bias, -0.2)  # type: ignore[arg-type]
    return network


def twice(y: Tensor) -> Tensor:
    return F.interpolate(y, scale_factor=2, mode="bilinear")


def back(y: Tensor) -> Tensor:
    return F.interpolate(F.avg_pool2d(y, 2), size=SIZE, mode="bilinear")


def shuffled(y: Tensor) -> Tensor:
    return F.pixel_shuffle(F.pixel_unshuffle(y, 2), 2)


#: For one channel: operators after the logits, and the threshold of their output.
TAILS: dict[str, tuple[Tail, float]] = {
    "logits": (lambda y: y, 0.0),
    "scaled logits": (lambda y: y * 0.25, 0.0),
    "bias apart": (lambda y: y + 0.7, 0.0),
    "sigmoid of a bias apart": (lambda y: torch.sigmoid(y + 0.7), 0.5),
    "sigmoid": (torch.sigmoid, 0.5),
    "squeeze": (lambda y: torch.sigmoid(y).squeeze(1), 0.5),
    "no batch": (lambda y: torch.sigmoid(y)[0, 0], 0.5),
    "flat": (lambda y: torch.sigmoid(y).flatten(), 0.5),
    "rows": (lambda y: torch.sigmoid(y).flatten(2).transpose(1, 2), 0.5),
    "last": (lambda y: torch.sigmoid(y).permute(0, 2, 3, 1), 0.5),
    "clip": (lambda y: torch.sigmoid(y).clamp(0, 1), 0.5),
    "clip inside": (lambda y: torch.sigmoid(y).clamp(1e-6, 1 - 1e-6), 0.5),
    "clipped logits": (lambda y: y.clamp(0, 1), 0.5),
    "hard sigmoid": (F.hardsigmoid, 0.5),
    "hard sigmoid by hand": (lambda y: F.relu6(y + 3) / 6, 0.5),
    "sigmoid by hand": (lambda y: 1 / (1 + torch.exp(-y)), 0.5),
    "tanh": (lambda y: (torch.tanh(y) + 1) / 2, 0.5),
    "255": (lambda y: torch.sigmoid(y) * 255, 127.5),
    "rounded 255": (lambda y: (torch.sigmoid(y) * 255).round(), 127.5),
    "bytes": (lambda y: (torch.sigmoid(y) * 255).to(torch.uint8), 127.5),
    "whole": (lambda y: (torch.sigmoid(y) * 255).to(torch.int32)[:, 0], 127.5),
    "rounded": (lambda y: torch.sigmoid(y).round(), 0.5),
    "rounded bytes": (lambda y: torch.sigmoid(y).round().to(torch.uint8), 0.5),
    "other way round": (lambda y: 1 - torch.sigmoid(y), 0.5),
    "resized": (lambda y: back(torch.sigmoid(y)), 0.5),
    "resized 255": (lambda y: back(torch.sigmoid(y) * 255).clamp(0, 255), 127.5),
    "shuffled": (lambda y: shuffled(torch.sigmoid(y)), 0.5),
    "above": (lambda y: torch.sigmoid(y) > 0.6, 0.5),
    "below": (lambda y: (torch.sigmoid(y) < 0.6).to(torch.uint8), 0.5),
    "mask of 255": (lambda y: (torch.sigmoid(y) > 0.6).to(torch.uint8) * 255, 127.5),
    "where": (lambda y: torch.where(y > 0.3, 255.0, 0.0), 127.5),
    "resized mask": (lambda y: back((torch.sigmoid(y) > 0.6).float()), 0.5),
    "mean of two": (lambda y: (torch.sigmoid(y) + torch.sigmoid(y * 2 + 1)) / 2, 0.5),
    "residual": (lambda y: torch.sigmoid(y + y.mean((2, 3), keepdim=True)), 0.5),
}  # fmt: skip
#: The same for two channels.
OF_TWO: dict[str, tuple[Tail, float]] = {
    "slice": (lambda y: torch.softmax(y, 1)[:, 1:], 0.5),
    "index": (lambda y: torch.softmax(y, 1)[:, 1], 0.5),
    "255": (lambda y: (torch.softmax(y, 1)[:, 1:] * 255).to(torch.uint8), 127.5),
    "resized": (lambda y: back(torch.softmax(y, 1)[:, :1]), 0.5),
    "by hand": (lambda y: (y.exp() / y.exp().sum(1, keepdim=True))[:, 1:], 0.5),
}


def agreement(path: Path, threshold: float, asked: float | None = None) -> tuple[float, float]:
    """Share of pixels where import and file agree, and the share of those in the second class."""
    options = ForeignOptions(path, class_file(path.parent, 2, void=False), threshold=asked)
    network = open_foreign(options, None).network
    pictures = torch.randn((1, 3, *SIZE), generator=torch.Generator().manual_seed(1))
    session = onnxruntime.InferenceSession(path)
    output = session.run(None, {session.get_inputs()[0].name: pictures.numpy()})[0]
    wanted = output.astype(np.float64).reshape(SIZE) > threshold
    found = network(pictures).argmax(1)[0].numpy()
    return float(np.mean(found == wanted)), float(np.mean(wanted))


#: From both exporters: 18 is the newer one's.
BOTH = [(tail, 17) for tail in TAILS] + [(tail, 18) for tail in list(TAILS)[::4]]


@pytest.mark.parametrize(("tail", "opset"), BOTH)
def test_one_channel_means_what_its_activation_says(tail: str, opset: int, tmp_path: Path) -> None:
    after, threshold = TAILS[tail]
    path = export(Then(small(), after), tmp_path / "net.onnx", opset=opset)
    agreed, second = agreement(path, threshold)
    assert agreed > 0.999
    assert 0.05 < second < 0.95


@pytest.mark.parametrize("tail", OF_TWO)
@pytest.mark.parametrize("opset", [17, 18])
def test_one_channel_of_a_soft_max_is_a_probability(tail: str, opset: int, tmp_path: Path) -> None:
    after, threshold = OF_TWO[tail]
    path = export(Then(small(2), after), tmp_path / "net.onnx", opset=opset)
    agreed, second = agreement(path, threshold)
    assert agreed > 0.999
    assert 0.05 < second < 0.95


#: Nodes that may follow a sigmoid in any order; each takes (1, 1, h, w) and keeps this shape.
STEPS = {
    "Mul": (np.float32(255),),
    "Add": (np.float32(-0.25),),
    "Sub": (np.float32(1.5),),
    "Neg": (),
    "Identity": (),
    "Sigmoid": (),
    "Tanh": (),
    "Exp": (),
}


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(sorted(STEPS)), max_size=4))
def test_arithmetic_behind_a_sigmoid_moves_where_the_classes_part(steps: list[str]) -> None:
    weights = small().weight.detach().numpy()
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["logits"], pads=[2] * 4),
        helper.make_node("Sigmoid", ["logits"], ["t0"]),
    ]
    constants = [numpy_helper.from_array(weights, "w")]
    middle, high = 0.5, 0.6
    for place, step in enumerate(steps):
        names = [f"k{place}" for _ in STEPS[step]]
        constants += [
            numpy_helper.from_array(np.array(value), name)
            for value, name in zip(STEPS[step], names, strict=True)
        ]
        nodes.append(helper.make_node(step, [f"t{place}", *names], [f"t{place + 1}"]))
        number = {
            "Mul": lambda v: v * 255, "Add": lambda v: v - 0.25, "Sub": lambda v: v - 1.5,
            "Neg": lambda v: -v, "Identity": lambda v: v, "Tanh": np.tanh, "Exp": np.exp,
            "Sigmoid": lambda v: 1 / (1 + np.exp(-v)),
        }[step]  # fmt: skip
        with np.errstate(over="ignore"):
            middle, high = float(number(middle)), float(number(high))
    if not np.isfinite(high) or abs(high - middle) < 1e-3 * max(1.0, abs(middle)):
        return  # saturated: such an output no longer contains the classes
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, *SIZE])],
        [helper.make_tensor_value_info(f"t{len(steps)}", TensorProto.FLOAT, [1, 1, *SIZE])],
        constants,
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.onnx"
        opsets = [helper.make_opsetid("", 17)]
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
        assert agreement(path, middle)[0] > 0.995


@pytest.mark.parametrize(
    "after", [lambda y: F.relu(y), lambda y: y.abs(), lambda y: torch.sigmoid(y) * torch.tanh(y)]
)
def test_what_cannot_be_told_is_asked_for_and_taken_from_the_option(
    after: Tail, tmp_path: Path
) -> None:
    path = export(Then(small(), after), tmp_path / "net.onnx")
    with pytest.raises(BuildError, match="--threshold VALUE"):
        agreement(path, 0.3)
    assert agreement(path, 0.3, asked=0.3)[0] > 0.999


@pytest.mark.parametrize("tail", ["sigmoid", "bytes", "above"])
def test_a_threshold_that_is_given_is_of_the_output(tail: str, tmp_path: Path) -> None:
    after, _ = TAILS[tail]
    path = export(Then(small(), after), tmp_path / "net.onnx")
    given = {"sigmoid": 0.8, "bytes": 200.0, "above": 0.5}[tail]
    assert agreement(path, given, asked=given)[0] > 0.999


def test_a_class_map_that_is_enlarged_stays_the_files_own(tmp_path: Path) -> None:
    def after(y: Tensor) -> Tensor:
        classes = F.avg_pool2d(y, 4).argmax(1, keepdim=True)
        return F.interpolate(classes.float(), scale_factor=4, mode="nearest").to(torch.int32)

    path = export(Then(small(2), after), tmp_path / "net.onnx")
    assert agreement(path, 0.5)[0] == 1.0
