"""Computes a finished TensorRT network definition in PyTorch, layer by layer, on any machine.

Engines run on GPUs only, but a network definition can be read back without one, with all kernels,
constants, axes, strides and modes. Anything a parser got wrong (an axis, a padding, a scale, a
mask) shows as a different result. Each layer computes in FP32 from its input values and rounds to
the type that the network gives its output, as tensor cores do.

Python returns layers as ``ILayer``; the concrete class is set by ``layer.type``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import tensorrt_rtx as trt
import tensorrt_rules as rules
import torch
from tensorrt_rules import UnknownLayerError
from torch import Tensor

__all__ = ["UnknownLayerError", "interpret"]

#: Kind of layer -> its class and its rule.
_KINDS = {
    trt.LayerType.ACTIVATION: (trt.IActivationLayer, rules.activation),
    trt.LayerType.CAST: (trt.ICastLayer, rules.cast),
    trt.LayerType.CONCATENATION: (trt.IConcatenationLayer, rules.concatenation),
    trt.LayerType.CONSTANT: (trt.IConstantLayer, rules.constant),
    trt.LayerType.CONVOLUTION: (trt.IConvolutionLayer, rules.convolution),
    trt.LayerType.DECONVOLUTION: (trt.IDeconvolutionLayer, rules.deconvolution),
    trt.LayerType.DEQUANTIZE: (trt.IDequantizeLayer, rules.dequantize),
    trt.LayerType.ELEMENTWISE: (trt.IElementWiseLayer, rules.elementwise),
    trt.LayerType.GATHER: (trt.IGatherLayer, rules.gather),
    trt.LayerType.MATRIX_MULTIPLY: (trt.IMatrixMultiplyLayer, rules.matrix_multiply),
    trt.LayerType.POOLING: (trt.IPoolingLayer, rules.pooling),
    trt.LayerType.QUANTIZE: (trt.IQuantizeLayer, rules.quantize),
    trt.LayerType.REDUCE: (trt.IReduceLayer, rules.reduce),
    trt.LayerType.RESIZE: (trt.IResizeLayer, rules.resize),
    trt.LayerType.SCALE: (trt.IScaleLayer, rules.scale),
    trt.LayerType.SELECT: (trt.ISelectLayer, rules.select),
    trt.LayerType.SHAPE: (trt.IShapeLayer, rules.shape),
    trt.LayerType.SHUFFLE: (trt.IShuffleLayer, rules.shuffle),
    trt.LayerType.SLICE: (trt.ISliceLayer, rules.slice_),
    trt.LayerType.SQUEEZE: (trt.ISqueezeLayer, rules.squeeze),
    trt.LayerType.TOPK: (trt.ITopKLayer, rules.topk),
}

_DTYPES = {
    trt.DataType.FLOAT: torch.float32,
    trt.DataType.HALF: torch.float16,
    trt.DataType.INT8: torch.int8,
    trt.DataType.INT32: torch.int32,
    trt.DataType.INT64: torch.int64,
    trt.DataType.UINT8: torch.uint8,
    trt.DataType.BOOL: torch.bool,
}


def interpret(network: Any, **inputs: Tensor) -> dict[str, Tensor]:
    """Compute the outputs of ``network`` for the given inputs, by name.

    Raises:
        UnknownLayerError: a layer has no rule; nothing is guessed.
    """
    values: dict[str, Tensor] = dict(inputs)
    for layer in _in_order(network):
        if layer.type not in _KINDS:
            raise UnknownLayerError(f"no rule for {layer.type.name} ({layer.name})")
        layer.__class__, rule = _KINDS[layer.type]
        operands = [None if x is None else values[x.name] for x in _inputs(layer)]
        for k, result in enumerate(rule(layer, operands)):
            output = layer.get_output(k)
            result = result.to(_DTYPES[output.dtype])
            _check_shape(layer, tuple(output.shape), tuple(result.shape))
            values[output.name] = result
    outputs = (network.get_output(k).name for k in range(network.num_outputs))
    return {name: values[name] for name in outputs}


def _in_order(network: Any) -> Iterator[Any]:
    """Go through the layers, each after those that it reads: sizes may be set late."""
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    makers = {
        layer.get_output(k).name: i
        for i, layer in enumerate(layers)
        for k in range(layer.num_outputs)
    }
    done: set[int] = set()
    waiting = list(reversed(range(len(layers))))
    while waiting:
        i = waiting.pop()
        if i in done:
            continue
        sources = (makers.get(x.name) for x in _inputs(layers[i]) if x is not None)
        missing = [source for source in sources if source is not None and source not in done]
        if missing:
            waiting += [i, *missing]
        else:
            done.add(i)
            yield layers[i]


def _inputs(layer: Any) -> list[Any]:
    return [layer.get_input(k) for k in range(layer.num_inputs)]


def _check_shape(layer: Any, told: tuple[int, ...], found: tuple[int, ...]) -> None:
    """Compare shapes: where TensorRT has inferred one, ours must be the same."""
    if len(told) != len(found) or any(t not in (-1, f) for t, f in zip(told, found, strict=True)):
        raise UnknownLayerError(f"{layer.name}: TensorRT infers {told}, the rule makes {found}")
