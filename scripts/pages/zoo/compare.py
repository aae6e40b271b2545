"""Cost of architectural choices: pairs of our networks, timed against each other."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

from calibration.scenes.synthetic import SyntheticDrive
from models.deeplab_v1 import build_deeplab_v1
from models.measure import cost_of_network
from models.receptive_field import receptive_field
from models.registry import build_model, model_spec
from models.spec import InputSpec
from models.vgg import HALVED, VGG16, Pool
from models.weights import load_weights
from pipeline.graph.deployment import DeploymentGraph
from pipeline.runtimes.compiler import EngineForm, Job
from pipeline.runtimes.openvino.compiler import OpenVINOCompiler
from pipeline.runtimes.openvino.core import compile_for_cpu
from scripts.pages.zoo.measure import this_machine

#: Interleaved runs of each side.
RUNS = 7


@dataclass(frozen=True)
class Pair:
    """Attributes: ``title`` of the choice; names of its two sides, and how each is built."""

    title: str
    names: tuple[str, str]
    networks: tuple[Callable[[], nn.Module], Callable[[], nn.Module]]


def _registered(name: str, **variant: object) -> Callable[[], nn.Module]:
    spec = model_spec(name)
    return lambda: build_model(replace(spec, variant={**spec.variant, **variant}))


def _pooled(kernel: int) -> nn.Module:
    network = build_deeplab_v1(model_spec("deeplab_v1").classes)
    assert isinstance(network.encoder, VGG16)
    first = HALVED if kernel == 2 else Pool(3, 2)
    network.encoder.pools = (first, first, first, *network.encoder.pools[3:])
    return network


PAIRS = (
    Pair(
        "Fully connected layers and transposed convolutions",
        ("deconvnet", "segnet"),
        (_registered("deconvnet"), _registered("segnet")),
    ),
    Pair(
        "First three poolings of DeepLab v1",
        ("3x3, stride 2", "2x2, stride 2"),
        (lambda: _pooled(3), lambda: _pooled(2)),
    ),
    Pair(
        "Output stride of DeepLab v3 on ResNet-50",
        ("8", "16"),
        (
            _registered("deeplab_v3_resnet50", output_stride=8),
            _registered("deeplab_v3_resnet50"),
        ),
    ),
)


def compare(pair: Pair) -> dict[str, Any]:
    """Count and time both sides at the usual size, FP32 on OpenVINO.

    Returns:
        ``title``; ``machine``; ``sides``, each with ``name``, ``parameters``, ``gmacs``,
        ``receptive_field`` and ``milliseconds``; ``ratio``, the median over runs of first time
        over second.
    """
    spec = InputSpec()
    sides, runs = [], []
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, make) in enumerate(zip(pair.names, pair.networks, strict=True)):
            with torch.device("meta"):
                network = make().eval()
                cost = cost_of_network(network, spec)
                field = receptive_field(network, spec.height, spec.width)
            sides.append(
                {
                    "name": name,
                    "parameters": cost.parameters,
                    "gmacs": round(cost.gmacs, 1),
                    "receptive_field": max(field.height, field.width),
                }
            )
            runs.append(_runner(make(), spec, Path(folder), f"side{number}"))
        times = [[run() for run in runs] for _ in range(RUNS)]
    for side, taken in zip(sides, zip(*times, strict=True), strict=True):
        side["milliseconds"] = round(1000 * statistics.median(taken), 1)
    ratio = statistics.median(first / second for first, second in times)
    machine = this_machine()
    return {"title": pair.title, "machine": machine, "sides": sides, "ratio": round(ratio, 2)}


def _runner(network: nn.Module, spec: InputSpec, folder: Path, name: str) -> Callable[[], float]:
    """Compile ``network``; return a function that runs it once and returns the seconds."""
    job = Job(DeploymentGraph(network, spec), name, "fp32", EngineForm(), folder)
    compiled = OpenVINOCompiler().compile(job, lambda what, share: None)
    engine = compile_for_cpu(compiled.files[0], "fp32")
    frame = SyntheticDrive(spec.width, spec.height).frame(0)[0][None]
    engine(frame)

    def run() -> float:
        start = time.perf_counter()
        engine(frame)
        return time.perf_counter() - start

    return run


class _AlignedCorners(TorchFunctionMode):
    """Makes every resize align corners."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        keywords = dict(kwargs or {})
        if func is F.interpolate:
            keywords["align_corners"] = True
        return func(*args, **keywords)


def changed_by_aligned_corners(name: str) -> float:
    """Align corners inside a trained network, although it was trained without.

    Returns:
        Share of pixels of a drawn frame whose class changes.
    """
    spec = model_spec(name)
    network = build_model(spec).eval()
    load_weights(network, spec, None)
    graph = DeploymentGraph(network, spec.input)
    frame = SyntheticDrive(spec.input.width, spec.input.height).frame(0)[0]
    with torch.no_grad():
        x = graph.preprocess(torch.from_numpy(frame[None]))
        usual = network(x).argmax(1)
        with _AlignedCorners():
            aligned = network(x).argmax(1)
    return float((usual != aligned).float().mean())
