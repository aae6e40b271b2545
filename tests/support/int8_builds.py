"""Handmade INT8 builds: manifests, tables and comparisons with known figures."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.fx import Graph, GraphModule

from calibration.metrics.miou import Scores
from calibration.quantizer.placement import Convolution
from calibration.table import CalibrationTable, Site
from models.classes import ClassSet
from models.spec import InputSpec, LoadedWeights
from pipeline.engine.manifest import EngineFile, LayerPrecisions, Manifest
from pipeline.engine.records import FrameRange
from pipeline.evaluation.ab_timing import Speed
from pipeline.evaluation.compare import Comparison, FrameAgreement
from pipeline.evaluation.disagreement import Change, Disagreement
from pipeline.evaluation.latency import latency_of
from pipeline.quantization.accuracy_gate import Attempt
from pipeline.quantization.search import Prepared

CLASSES = ClassSet(("Sky", "Road", "Car"), ((128, 128, 128), (128, 64, 128), (64, 0, 128)))


def quantised(tensors: dict[str, float], convolutions: tuple[Convolution, ...]) -> Any:
    """Stand in for a quantised graph: int8 tensors, by name, with their scales."""
    graph = Graph()
    names = {}
    for tensor, scale in tensors.items():
        value = graph.placeholder("x")
        names[value] = tensor
        quantise = torch.ops.quantized_decomposed.quantize_per_tensor.default
        graph.call_function(quantise, (value, scale, 0, -128, 127, torch.int8))
    graph.output(())
    placement = SimpleNamespace(tensors=names, sites=names, convolutions=convolutions)
    module = GraphModule(nn.Module(), graph)
    return SimpleNamespace(placement=placement, with_dtype=lambda dtype: module)


def site(largest: float, kept: float, clipped: float) -> Site:
    return Site(
        0.0,
        largest,
        {"mse": {"int8": kept, "uint8": kept}},
        {"mse": {"int8": clipped, "uint8": clipped}},
    )


def table(**changes: Any) -> CalibrationTable:
    fingerprint = {
        "frames": "f" * 64,
        "frame_count": 128,
        "source": "drive",
        "preprocessing": {"width": 48, "height": 32, "order": "bgr", "mean": [0], "std": [1]},
        "weights": "w" * 64,
        "graph": "9" * 64,
    }
    start = CalibrationTable(
        "segnet",
        fingerprint,
        {"mid": site(100.0, 12.7, 0.00025)},
        "mse",
        measured={"agreement_by_method": {"minmax": 0.97, "mse": 0.99}, "frames": 8},
    )
    return replace(start, **changes)


def disagreement(name: str, wrong: int) -> Disagreement:
    """Return a frame of 48x32 on which ``wrong`` pixels of road became car."""
    image = np.random.default_rng(wrong).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    a = np.ones((32, 48), np.uint8)
    b = a.copy()
    b.ravel()[:wrong] = 2
    return Disagreement(name, image, a, b, 1 - wrong / a.size)


def compared(scores: bool = True, **changes: Any) -> Comparison:
    before = Scores(0.60, 0.9, {"Sky": 0.9, "Road": 0.5, "Car": 0.4}, 12)
    after = Scores(0.5967, 0.89, {"Sky": 0.91, "Road": 0.495, "Car": 0.385}, 12)
    start = Comparison(
        frames=12,
        pixel_agreement=0.9876,
        agreement={"Sky": 0.999, "Road": 0.98, "Car": None},
        worst_frame=FrameAgreement("b.png", 0.9),
        changes=(Change("Road", "Car", 0.0123),),
        scores=(before, after) if scores else None,
        speed=Speed((latency_of([50.0, 50.0]), latency_of([20.0, 20.0])), (2.4, 2.5, 2.6)),
        kept=(disagreement("b.png", 154), disagreement("a.png", 15)),
    )
    return replace(start, **changes)


def prepared(*attempts: Attempt, **changes: Any) -> Prepared:
    decided = (
        Convolution("stem", False, "first convolution: the picture's full range enters here"),
        Convolution("mid", True),
        Convolution("last", False, "asked for with --high-precision"),
    )
    chosen = attempts[-1].table if attempts else table()
    start = Prepared(quantised({"mid": 0.1}, decided), chosen, attempts, (), ())
    return replace(start, **changes)


def manifest(**changes: Any) -> Manifest:
    start = Manifest(
        name="segnet-openvino-int8",
        model="segnet",
        variant={},
        weights=LoadedWeights("segnet", "w" * 64),
        classes=CLASSES,
        input=InputSpec(48, 32, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "bgr"),
        frames=FrameRange(smallest=64, largest=3840),
        precision="int8",
        layers=LayerPrecisions("engine", {"stem": "fp32", "mid": "int8", "last": "fp32"}),
        runtime="openvino",
        runtime_version="2026.4.0",
        targets=(),
        files=(EngineFile("segnet-openvino-int8.xml", 1234, "e" * 64),),
        settings={"torch": "2.13.0"},
        warnings=("few frames",),
    )
    return replace(start, **changes)
