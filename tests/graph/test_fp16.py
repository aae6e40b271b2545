"""FP32 remains where FP16 overflows or loses digits, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorrt_rtx as trt
import torch
from int8_networks import Maxima
from tensorrt_interpreter import interpret
from torch import Tensor, nn

from calibration.scenes.synthetic import SyntheticDrive
from models.registry import build_model, model_spec
from models.spec import InputSpec
from models.weights import load_weights
from pipeline.graph.deployment import DeploymentGraph
from pipeline.graph.exported import ExportedGraph
from pipeline.graph.fp16 import FP16Graph, overflowing, to_fp16
from pipeline.graph.qdq import QDQGraph
from pipeline.runtimes.compiler import EngineForm, Job
from pipeline.runtimes.registry import open_compiler
from pipeline.runtimes.tensorrt.network import collecting_logger, parse_network

SIZE = InputSpec(width=96, height=64)
FRAMES = [SyntheticDrive(96, 64).frame(index)[0][None] for index in (0, 100)]


class Loud(nn.Module):
    """Two convolutions with values of about a million between them, then one with small values.

    Args:
        gain: of the first convolution; ``loss`` of the second.
    """

    def __init__(self, gain: float = 1e6, loss: float = 1e6) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.third = nn.Conv2d(8, 5, 1)
        with torch.no_grad():
            self.first.weight *= gain
            self.second.weight /= loss
            self.second.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        return self.third(self.second(self.first(x).relu()).relu())


class Lossy(nn.Module):
    """Adds and subtracts a constant so large that FP16 keeps two bits of the value."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 5, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.second((self.first(x) + 2000.0) - 2000.0)


def exported(network: nn.Module) -> ExportedGraph:
    torch.manual_seed(0)
    return ExportedGraph(DeploymentGraph(network, SIZE))


def agreement(graph: ExportedGraph | FP16Graph, truth: ExportedGraph) -> float:
    module = graph.with_dtype(torch.float16)
    with torch.no_grad():
        same = [
            (module(torch.from_numpy(frame)) == truth.module(torch.from_numpy(frame))).float()
            for frame in FRAMES
        ]
    return float(torch.cat(same).mean())


@pytest.mark.parametrize("network", [Loud, Lossy])
def test_what_fp16_cannot_hold_is_found_by_running_frames(network: type[nn.Module]) -> None:
    torch.manual_seed(0)
    graph = exported(network())
    assert agreement(graph, graph) < 0.9
    half = to_fp16(graph, FRAMES)
    assert half.agreement is not None
    assert half.agreement > 0.99
    assert agreement(half, graph) > 0.99


def test_overflow_names_the_convolutions_and_how_far_they_reach() -> None:
    torch.manual_seed(0)
    graph = exported(Loud())
    kept = to_fp16(graph, FRAMES).named
    assert "FP16 ends at 65504" in kept["first"]
    assert "its input reaches" in kept["second"]
    assert "third" not in kept


def in_tensorrt(onnx: Path, frame: Tensor) -> Tensor:
    logger = collecting_logger(trt)
    builder = trt.Builder(logger)
    network = parse_network(trt, builder, onnx, logger)
    (classes,) = interpret(network, frames=frame).values()
    return classes


def test_tensorrt_gets_fp32_there_and_fp16_elsewhere(tmp_path: Path) -> None:
    torch.manual_seed(0)
    graph = exported(Loud())
    job = Job(to_fp16(graph, FRAMES), "loud", "fp16", EngineForm(targets=("sm89",)), tmp_path)
    compiled = open_compiler("tensorrt-rtx").compile(job, lambda what, share: None)
    found = compiled.layers.convolutions
    assert found == {"first": "fp32", "second": "fp32", "third": "fp16"}
    frame = torch.from_numpy(FRAMES[0])
    classes = in_tensorrt(tmp_path / "graph.onnx", frame)
    assert float((classes == graph.module(frame)).float().mean()) > 0.99


def test_int8_takes_and_gives_fp32_where_fp16_would_overflow(tmp_path: Path) -> None:
    """Its weights have scales that FP16 can represent; otherwise it would not be INT8."""
    torch.manual_seed(0)
    graph = exported(Loud(gain=1e5, loss=10))
    maxima, frame = Maxima(graph), torch.from_numpy(FRAMES[0])
    with torch.no_grad():
        maxima.run(frame)
        truth = graph.module(frame)
    agreed = []
    for kept in ({}, overflowing(graph.module, FRAMES)):
        quantised = QDQGraph(graph, lambda name, _: maxima.reached[name], (), False, kept)
        job = Job(quantised, "loud", "int8", EngineForm(targets=("sm89",)), tmp_path)
        compiled = open_compiler("tensorrt-rtx").compile(job, lambda what, share: None)
        assert compiled.layers.convolutions["second"] == "int8"
        classes = in_tensorrt(tmp_path / "graph.onnx", frame)
        agreed.append(float((classes == truth).float().mean()))
    assert agreed[0] < 0.85
    assert agreed[1] > 0.9


def test_a_trained_network_that_fits_is_fp16_throughout() -> None:
    spec = model_spec("segnet_lite")
    network = build_model(spec)
    load_weights(network, spec, None)
    graph = ExportedGraph(DeploymentGraph(network, InputSpec(width=160, height=120)))
    frame = SyntheticDrive(160, 120).frame(0)[0][None]
    half = to_fp16(graph, [frame])
    assert half.kept == {}
    module = half.with_dtype(torch.float16)
    assert {p.dtype for p in module.parameters()} == {torch.float16}
    with torch.no_grad():
        classes = module(torch.from_numpy(frame)).numpy()
        truth = graph.module(torch.from_numpy(frame)).numpy()
    assert np.mean(classes == truth) == pytest.approx(half.agreement)
