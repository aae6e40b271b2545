"""Every network through torch-tensorrt, computed layer by layer without a GPU.

It has its own environment: scripts/check_torch_tensorrt.sh creates it and runs these tests in it.
Networks are narrow, as in ``test_zoo``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import tensorrt_rtx as trt
import torch
from int8_networks import IN_HALVES, Case, Parsed, assert_near, assert_pairs
from torch import Tensor, nn
from zoo_networks import LogitsGraph, convolution_names, narrow

from calibration.scenes.synthetic import SyntheticDrive
from models.registry import MODELS
from models.spec import ModelSpec
from pipeline.graph.deployment import DeploymentGraph
from pipeline.graph.exported import ExportedGraph
from pipeline.graph.fp16 import FP16Graph
from pipeline.graph.tolerances import TOLERANCES
from pipeline.runtimes.compiler import EngineForm, Job
from pipeline.runtimes.registry import open_compiler
from pipeline.runtimes.tensorrt.network import collecting_logger, planned_convolutions

if find_spec("torch_tensorrt") is None:
    pytest.skip(
        "torch-tensorrt is not installed: scripts/check_torch_tensorrt.sh runs these tests in an "
        "environment that has it",
        allow_module_level=True,
    )

from pipeline.runtimes.tensorrt.torch_tensorrt import fill

TARGETS = ("sm89",)

#: One network of each kind; the others differ from these in depth or width.
KINDS = (
    "fcn8s",
    "deconvnet",
    "segnet",
    "segnet_basic",
    "unet",
    "fc_densenet56",
    "deeplab_v1",
    "dilatednet_context",
    "deeplab_v2_vgg16",
    "pspnet_resnet50",
    "deeplab_v3_resnet50",
    "deeplab_v3plus_lite",
)


def filled(job: Job) -> Parsed:
    """Fill a network, without an error in TensorRT's log."""
    logger = collecting_logger(trt)
    found = Parsed(fill(trt, job, logger, lambda what, share: None), logger)
    assert tuple(found.network.get_output(0).shape)  # without matching types there is no shape
    assert logger.errors == []
    return found


def in_pytorch(graph: nn.Module, frames: Tensor) -> np.ndarray:
    with torch.no_grad():
        return graph(frames).float().numpy()


class Narrow:
    """A network with few channels, its graph, and a frame in the network's own size."""

    def __init__(self, spec: ModelSpec) -> None:
        size = (max(161, spec.minimum_size), max(121, spec.minimum_size))
        self.network = narrow(spec)
        self.graph = LogitsGraph(self.network, replace(spec.input, width=size[0], height=size[1]))
        self.frame = torch.from_numpy(SyntheticDrive(*size).frame(0)[0])[None]
        self.exported = FP16Graph(ExportedGraph(self.graph), {}, 1.0)

    def job(self, precision: str) -> Job:
        return Job(self.exported, "engine", precision, EngineForm(targets=TARGETS), Path())


@pytest.fixture(scope="module")
def narrow_of() -> Callable[[str], Narrow]:
    """Networks that several tests share."""
    made: dict[str, Narrow] = {}

    def find(name: str) -> Narrow:
        if name not in made:
            made[name] = Narrow(MODELS[name])
        return made[name]

    return find


def assert_same(expected: np.ndarray, found: np.ndarray, precision: str) -> None:
    tolerance = TOLERANCES[precision]
    logits = expected[:, :-1]
    assert np.abs(found[:, :-1] - logits).max() <= tolerance.logits * logits.std()
    assert np.mean(found[:, -1] == expected[:, -1]) >= tolerance.agreement


@pytest.mark.parametrize("name", MODELS)
def test_every_network_in_fp16_computes_what_pytorch_computes(
    name: str, narrow_of: Callable[[str], Narrow]
) -> None:
    """Measured: 0.005 of the logits' deviation; with unpooling 0.45, and 99.3 % of the pixels."""
    case = narrow_of(name)
    whole = filled(case.job("fp16"))
    convolutions = planned_convolutions(trt, whole.network).convolutions
    assert set(convolutions) == convolution_names(case.network)
    assert set(convolutions.values()) == {"fp16"}
    expected = in_pytorch(case.exported.with_dtype(torch.float16), case.frame)
    assert_same(expected, whole.computed(case.frame), "fp16")


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_of_network_in_fp32_computes_what_pytorch_computes(
    name: str, narrow_of: Callable[[str], Narrow]
) -> None:
    case = narrow_of(name)
    found = filled(case.job("fp32")).computed(case.frame)
    assert_same(in_pytorch(case.exported.exported.module, case.frame), found, "fp32")
    # Folded batch norms round differently, which moves single unpooled values.
    plain = in_pytorch(case.graph, case.frame)
    assert np.mean(found[:, -1] == plain[:, -1]) >= TOLERANCES["fp32"].agreement


@pytest.mark.parametrize("name", ["segnet", "unet", "deeplab_v3_resnet50"])
def test_q_dq_pairs_reach_tensorrt_one_for_each_tensor_and_weight(
    name: str, tmp_path: Path
) -> None:
    """Measured: exact in FP32."""
    case = Case(MODELS[name], tmp_path)
    for precision, floats, dtype, share in (
        ("fp32", "fp32", torch.float32, 0.1),
        ("int8", "fp16", torch.float16, IN_HALVES.get(name, 0.5)),
    ):
        whole = filled(Job(case, "engine", precision, EngineForm(targets=TARGETS), tmp_path))
        assert planned_convolutions(trt, whole.network).convolutions == {
            one.name: "int8" if one.int8 else floats
            for one in case.quantised.placement.convolutions
        }
        assert_pairs(whole, case, dtype)
        assert_near(case, case.in_pytorch(dtype), whole.computed(case.frame), share)


@pytest.mark.parametrize("name", ["segnet", "deeplab_v3plus_lite"])
def test_batches_of_every_size_compute_what_single_frames_compute(name: str) -> None:
    spec = MODELS[name]
    graph = LogitsGraph(narrow(spec), replace(spec.input, width=161, height=121))
    exported = FP16Graph(ExportedGraph(graph), {}, 1.0)
    job = Job(exported, "engine", "fp32", EngineForm(targets=TARGETS, batch=(1, 2, 4)), Path())
    whole = filled(job)
    assert tuple(whole.network.get_input(0).shape) == (-1, -1, -1, 3)
    frames = torch.from_numpy(
        np.stack([SyntheticDrive(100, 90).frame(index)[0] for index in (0, 40, 80)])
    )
    for some in (frames, frames[:1]):
        assert_same(in_pytorch(graph, some), whole.computed(some), "fp32")


@pytest.mark.parametrize("name", ["segnet_lite", "unet", "deeplab_v3plus_lite"])
def test_an_engine_is_built_for_a_gpu_that_is_not_here(name: str, tmp_path: Path) -> None:
    spec = MODELS[name]
    network = narrow(spec)
    graph = DeploymentGraph(network, replace(spec.input, width=161, height=121))
    form = EngineForm(targets=TARGETS, front_end="torch-tensorrt")
    job = Job(graph, "engine", "fp16", form, tmp_path)
    shares: list[float] = []
    compiled = open_compiler("tensorrt-rtx").compile(job, lambda what, share: shares.append(share))
    assert compiled.files[0].stat().st_size > sum(p.numel() for p in network.parameters())
    assert compiled.layers.convolutions.keys() == convolution_names(network)
    assert compiled.settings["front_end"] == "torch-tensorrt"
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
