"""Q/DQ in a TensorRT network: scales in the type of their tensors, and INT8 undone for some layers.

By the operator pages of TensorRT 10, Quantize's input and scale have one type, and so have
Dequantize's scale and output; a mixture was refused on an Orin (NVIDIA/TensorRT #4832). Networks
have FP32 scales, in FP16 networks with values that FP16 holds
(``calibration.quantizer.half_scales``).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np

from pipeline.runtimes.tensorrt.network import Filled, layers_of


def with_matching_scales(trt: ModuleType, filled: Filled) -> Filled:
    """Give Q and DQ of FP16 tensors their scales in FP16."""
    network = filled.network
    layers = list(layers_of(trt, network))
    makers = {layer.get_output(0).name: layer for layer in layers}
    made: dict[str, Any] = {}
    kept: list[np.ndarray[Any, Any]] = []
    for layer in layers:
        if layer.type == trt.LayerType.QUANTIZE:
            kind = layer.get_input(0).dtype
        elif layer.type == trt.LayerType.DEQUANTIZE:
            kind = layer.get_output(0).dtype
        else:
            continue
        for place in range(1, layer.num_inputs):  # the scale, and the zero point where there is one
            given = layer.get_input(place)
            if kind != trt.DataType.HALF or given is None or given.dtype != trt.DataType.FLOAT:
                continue
            if given.name not in made:
                source = makers[given.name]
                if source.type == trt.LayerType.CONSTANT:
                    # A constant and not a cast, since the builder has to know the value.
                    kept.append(_values(source).astype(np.float16))
                    made[given.name] = _constant(trt, network, kept[-1], f"{given.name}_fp16")
                else:
                    made[given.name] = network.add_cast(given, kind).get_output(0)
            layer.set_input(place, made[given.name])
    return replace(filled, keep=(filled.keep, kept))


def without_int8(trt: ModuleType, filled: Filled, names: Collection[str]) -> Filled:
    """Compute the convolutions ``names`` in floating point, with dequantised weights."""
    network = filled.network
    layers = list(layers_of(trt, network))
    makers = {layer.get_output(0).name: layer for layer in layers}
    kept: list[np.ndarray[Any, Any]] = []
    for layer in layers:
        if layer.name not in names or layer.num_inputs < 2 or layer.get_input(1) is None:
            continue
        weight = makers[layer.get_input(1).name]
        if weight.type != trt.LayerType.DEQUANTIZE:
            continue
        levels, scale = (_values(makers[weight.get_input(i).name]) for i in (0, 1))
        dtype = np.float16 if weight.get_output(0).dtype == trt.DataType.HALF else np.float32
        axes = (-1, *[1] * (levels.ndim - 1))
        kept.append(
            (levels.astype(np.float32) * scale.astype(np.float32).reshape(axes)).astype(dtype)
        )
        layer.set_input(1, _constant(trt, network, kept[-1], f"{layer.name}.weight_floats"))
        before = _before_int8(trt, layer.get_input(0), makers)
        if before is not None:
            layer.set_input(0, before)
    return replace(filled, keep=(filled.keep, kept))


def _before_int8(trt: ModuleType, tensor: Any, makers: dict[str, Any]) -> Any | None:
    """Return the tensor before Q and DQ, where it has the same type."""
    dequantize = makers.get(tensor.name)
    if dequantize is None or dequantize.type != trt.LayerType.DEQUANTIZE:
        return None
    quantize = makers.get(dequantize.get_input(0).name)
    if quantize is None or quantize.type != trt.LayerType.QUANTIZE:
        return None
    before = quantize.get_input(0)
    return before if before.dtype == tensor.dtype else None


def _values(layer: Any) -> np.ndarray[Any, Any]:
    return np.array(layer.weights).reshape(tuple(layer.get_output(0).shape))


def _constant(trt: ModuleType, network: Any, values: np.ndarray[Any, Any], name: str) -> Any:
    layer = network.add_constant(values.shape, trt.Weights(values))
    layer.name = name
    return layer.get_output(0)
