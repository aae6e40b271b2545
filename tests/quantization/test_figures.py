"""The figures of an INT8 report: scales read from the graph, rows and numbers."""

from __future__ import annotations

import pytest
import torch
from int8_builds import site, table
from torch import nn

from models.spec import InputSpec
from pipeline.graph.deployment import DeploymentGraph
from pipeline.graph.exported import ExportedGraph
from pipeline.graph.qdq import QDQGraph
from pipeline.quantization.report.figures import LogAxis, axis_of, tensor_rows
from pipeline.quantization.report.summary import percent, points
from pipeline.quantization.scales import TensorScale, scales_of


class Joined(nn.Module):
    """Two branches of different range on one scale, with a first and a last convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.left = nn.Conv2d(4, 4, 3, padding=1)
        self.joint = nn.Conv2d(8, 4, 3, padding=1)
        self.last = nn.Conv2d(4, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        y = torch.relu(self.left(x))
        return self.last(torch.relu(self.joint(torch.cat([x, y], 1))))


@pytest.fixture(scope="module")
def exported() -> ExportedGraph:
    spec = InputSpec(48, 32, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "bgr")
    return ExportedGraph(DeploymentGraph(Joined().eval(), spec))


@pytest.mark.parametrize(
    ("unsigned", "dtype", "steps"), [(False, "int8", 127), (True, "uint8", 255)]
)
def test_scales_are_read_from_the_graph_where_the_wider_of_two_wins(
    exported: ExportedGraph, unsigned: bool, dtype: str, steps: int
) -> None:
    ranges = {"left": 1.0, "joint": 2.0, "joint.concat.1": 4.0}
    graph = QDQGraph(exported, lambda name, _: ranges[name], ("last",), unsigned)
    scales = {one.tensor: one for one in scales_of(graph)}
    assert scales.keys() == {"left", "joint", "joint.concat.1"}
    assert {one.dtype for one in scales.values()} == {dtype}
    half = 2.0**-11  # scales of signed graphs are rounded to FP16
    assert scales["joint"].threshold == pytest.approx(4.0, half)
    assert scales["joint"].scale == pytest.approx(4.0 / steps, half)


def test_a_tensor_on_a_wider_scale_than_its_own_is_marked_and_clips_nothing_it_keeps() -> None:
    sites = {"a": site(3.0, 2.0, 0.01), "b": site(3.0, 2.0, 0.01), "c": site(5.0, 2.0, 0.01)}
    reached = {"a": 2.0, "b": 3.5, "c": 4.0}
    scales = [TensorScale(name, "int8", reach / 127, reach) for name, reach in reached.items()]
    rows = tensor_rows(scales, table(sites=sites))
    assert [(row.widened, row.clipped) for row in rows] == [(False, 0.01), (True, 0), (True, 0.01)]
    assert axis_of(rows) == LogAxis(0, 1)


def test_what_is_off_by_less_than_rounding_is_not_called_clipped() -> None:
    """Half the values of a ReLU6 may be 6, and a threshold of 5.998 hardly changes them."""
    scales = [TensorScale("a", "uint8", 5.998 / 255, 5.998)]
    (row,) = tensor_rows(scales, table(sites={"a": site(6.0, 5.998, 0.5)}))
    assert row.clipped == 0
    assert row.kept == pytest.approx(5.998 / 6)


@pytest.mark.parametrize(
    ("value", "place"),
    [(0.01, 0.0), (0.1, 0.0), (1.0, 50.0), (10.0, 100.0), (99.0, 100.0), (0.0, 0.0)],
)
def test_magnitudes_have_their_place_on_the_logarithmic_axis(value: float, place: float) -> None:
    assert LogAxis(-1, 1).at(value) == place


def test_figures_do_not_round_to_more_than_was_reached() -> None:
    assert percent(1.0) == "100.00\N{NO-BREAK SPACE}%"
    assert percent(0.999999) == "99.99\N{NO-BREAK SPACE}%"
    assert points(-0.000001) == "0.00"
    assert points(0.0025) == "+0.25"
