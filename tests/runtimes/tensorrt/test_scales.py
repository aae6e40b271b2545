"""Q/DQ as TensorRT 10 documents them: a scale has the type of its tensor."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tensorrt_rtx as trt
import torch
from quiet_progress import quiet
from tiny_int8 import DENSE, INT8, Tiny, exported, job, quantised

from pipeline.errors import BuildError
from pipeline.runtimes.compile import compiled
from pipeline.runtimes.high_precision import named_layers
from pipeline.runtimes.registry import open_compiler
from pipeline.runtimes.tensorrt import compiler as tensorrt_compiler
from pipeline.runtimes.tensorrt.builder_config import serialise
from pipeline.runtimes.tensorrt.log import collecting_logger
from pipeline.runtimes.tensorrt.network import (
    Filled,
    fill_from_onnx,
    layers_of,
    planned_convolutions,
)
from pipeline.runtimes.tensorrt.scales import with_matching_scales, without_int8

RTX = open_compiler("tensorrt-rtx")


@pytest.fixture
def filled(tmp_path: Path) -> Filled:
    return fill_from_onnx(trt, job(quantised(), tmp_path), collecting_logger(trt), quiet)


def scale_types(filled: Filled) -> set[tuple[str, str, str]]:
    """Return the kind of layer, its tensor's type in floats, and its scale's type."""
    found = set()
    for layer in layers_of(trt, filled.network):
        if layer.type in {trt.LayerType.QUANTIZE, trt.LayerType.DEQUANTIZE}:
            quantises = layer.type == trt.LayerType.QUANTIZE
            tensor = layer.get_input(0) if quantises else layer.get_output(0)
            for place in range(1, layer.num_inputs):  # scale and zero point
                found.add((layer.type.name, tensor.dtype.name, layer.get_input(place).dtype.name))
    return found


def test_scales_have_the_type_of_their_tensor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This is checked in the network that is really built."""
    seen: list[set[tuple[str, str, str]]] = []

    def watching(trt: ModuleType, filled: Filled, *rest: Any) -> memoryview:
        seen.append(scale_types(filled))
        return serialise(trt, filled, *rest)

    monkeypatch.setattr(tensorrt_compiler, "serialise", watching)
    compiled(job(quantised(), tmp_path), RTX, quiet)
    assert seen == [{("QUANTIZE", "HALF", "HALF"), ("DEQUANTIZE", "HALF", "HALF")}]


def test_no_scale_is_changed_by_its_type(filled: Filled) -> None:
    """They were rounded to FP16 before, so accuracy was judged with the same values."""

    def scales() -> list[np.ndarray[Any, Any]]:
        layers = list(layers_of(trt, filled.network))
        makers = {layer.get_output(0).name: layer for layer in layers}
        kinds = {trt.LayerType.QUANTIZE, trt.LayerType.DEQUANTIZE}
        found = [makers[one.get_input(1).name] for one in layers if one.type in kinds]
        return [np.array(source.weights, np.float32) for source in found]

    before = scales()
    with_matching_scales(trt, filled)
    after = scales()
    assert len(before) == 4 * len(INT8) - len(INT8)
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_convolutions_whose_scales_fp16_does_not_hold_stay_out_of_int8() -> None:
    network = Tiny()
    with torch.no_grad():
        network.second.weight *= 1e-3
        network.first.weight[0] = 1e-9  # a channel that training switched off
    placement = quantised(exported(network)).placement
    kept = {one.name: one.reason for one in placement.convolutions if not one.int8}
    assert placement.int8 == ("first", "depthwise")
    assert "32 of 32 weight scales are below 6.1e-05" in kept["second"]


def test_an_input_whose_scale_fp16_does_not_hold_stays_out_of_int8() -> None:
    assert quantised(largest=0.007).placement.int8 == ()
    assert quantised(largest=0.008).placement.int8 == INT8


def test_a_layer_of_a_finished_network_is_taken_out_of_int8(filled: Filled) -> None:
    without_int8(trt, filled, ("depthwise",))
    with_matching_scales(trt, filled)
    found = planned_convolutions(trt, filled.network).convolutions
    assert {name for name, kind in found.items() if kind == "int8"} == set(DENSE)
    (layer,) = [one for one in layers_of(trt, filled.network) if one.name == "depthwise"]
    assert layer.get_input(0).dtype == layer.get_input(1).dtype == trt.DataType.HALF


def test_a_file_builds_with_a_layer_kept_in_fp16(tmp_path: Path) -> None:
    """A bundle needs this on a machine whose TensorRT has no depthwise convolution in INT8."""
    whole = job(quantised(), tmp_path)
    RTX.export(whole, tmp_path / "file.onnx")
    kept = replace(whole, graph=tmp_path / "file.onnx", int8=DENSE, high_precision=("depthwise",))
    found = compiled(kept, RTX, quiet).layers.convolutions
    assert {name: found[name] for name in INT8} == {
        "first": "int8",
        "depthwise": "fp16",
        "second": "int8",
    }


def test_where_fp16_is_refused_the_same_is_built_in_fp32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def picky(trt: ModuleType, filled: Filled, *rest: Any) -> memoryview:
        if any("HALF" in kinds for kinds in scale_types(filled)):
            raise BuildError("scales in FP16 are not taken")
        return serialise(trt, filled, *rest)

    monkeypatch.setattr(tensorrt_compiler, "serialise", picky)
    built = compiled(job(quantised(), tmp_path), RTX, quiet)
    assert {built.layers.convolutions[name] for name in INT8} == {"int8"}
    assert built.layers.convolutions["stem"] == "fp32"
    assert any("scales in FP16 are not taken" in warning for warning in built.warnings)


def test_the_layer_without_an_implementation_is_named_with_what_to_do(tmp_path: Path) -> None:
    logger = collecting_logger(trt)
    wanted = job(quantised(), tmp_path)
    filled = fill_from_onnx(trt, wanted, logger, quiet)

    class Refusing:
        def build_serialized_network(self, network: Any, config: Any) -> None:
            text = "Could not find any implementation for node depthwise + node_relu_2."
            logger.log(trt.ILogger.Severity.ERROR, text)

        def __getattr__(self, name: str) -> Any:
            return getattr(filled.builder, name)

    with pytest.raises(BuildError, match=r"--high-precision depthwise$"):
        serialise(trt, replace(filled, builder=Refusing()), wanted, logger, quiet, True)


def test_layers_are_named_whole_or_by_their_block() -> None:
    known = ("encoder.0.conv", "encoder.1.conv", "Head")
    assert named_layers(("encoder",), known) == known[:2]
    assert named_layers(("Head", "encoder.1.conv"), known) == ("Head", "encoder.1.conv")
    with pytest.raises(BuildError, match=r"no such convolution.*encoder\.0\.conv"):
        named_layers(("encoder.0.con",), known)


def test_bytes_come_out_of_floats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorRT 10.3 documents the cast to UINT8 only for floating-point types."""
    given: list[str] = []

    def watching(trt: ModuleType, filled: Filled, *rest: Any) -> memoryview:
        layers = list(layers_of(trt, filled.network))
        given.extend(
            layer.get_input(0).dtype.name
            for layer in layers
            if layer.type == trt.LayerType.CAST and layer.to_type == trt.DataType.UINT8
        )
        return serialise(trt, filled, *rest)

    monkeypatch.setattr(tensorrt_compiler, "serialise", watching)
    compiled(job(quantised(), tmp_path), RTX, quiet)
    assert given == ["FLOAT"]
