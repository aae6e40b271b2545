"""A TensorRT network before it is built: read from ONNX, its types put right, its layers listed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorrt_rtx as trt

from pipeline.engine import LayerPrecisions
from pipeline.errors import BuildError

_PRECISIONS = {
    trt.DataType.FLOAT: "fp32",
    trt.DataType.HALF: "fp16",
    trt.DataType.BF16: "bf16",
    trt.DataType.INT8: "int8",
}


class CollectingLogger(trt.ILogger):  # type: ignore[misc]  # the bindings carry no types
    """Keeps TensorRT's errors for our own message instead of printing them."""

    def __init__(self) -> None:
        trt.ILogger.__init__(self)  # a pybind11 trampoline crashes without
        self.errors: list[str] = []

    def log(self, severity: Any, message: str) -> None:
        """Receive one line from TensorRT."""
        if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
            self.errors.append(message)

    def last_error(self) -> str:
        """Return the newest error in one line."""
        return self.errors[-1].strip().splitlines()[0] if self.errors else "no reason given"


def parse_network(builder: Any, onnx: Path, logger: CollectingLogger) -> Any:
    """Read an ONNX file into a strongly typed network.

    Raises:
        BuildError: the parser refuses it; its own first reason is quoted.
    """
    flags = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(flags)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(onnx)):
        reasons = [parser.get_error(i).desc() for i in range(parser.num_errors)]
        raise BuildError(
            f"TensorRT's ONNX parser refused the network ({'; '.join(reasons[:2])}); rewrite the "
            "operation that it names"
        )
    _drop_casts_around_int8(network)
    return network


def layers_of(network: Any) -> Iterator[Any]:
    """Go through the layers; Python gets each as ``ILayer``, this gives it its own class."""
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        if layer.type in _CLASSES:
            layer.__class__ = _CLASSES[layer.type]
        yield layer


_CLASSES = {
    trt.LayerType.CAST: trt.ICastLayer,
    trt.LayerType.DEQUANTIZE: trt.IDequantizeLayer,
    trt.LayerType.QUANTIZE: trt.IQuantizeLayer,
}


def _drop_casts_around_int8(network: Any) -> None:
    """Let Q and DQ take and give FP16 themselves, with their FP32 scales.

    ONNX wants one type for tensor and scale, so the file has casts around them; TensorRT does not,
    and fuses Q and DQ with the layers that they stand next to.
    """
    layers = list(layers_of(network))
    maker = {layer.get_output(0).name: layer for layer in layers}
    for layer in layers:
        for index in range(layer.num_inputs):
            tensor = layer.get_input(index)
            source = maker.get(tensor.name) if tensor is not None else None
            if source is None or source.type != trt.LayerType.CAST:
                continue
            before = maker.get(source.get_input(0).name)
            if before is not None and before.type == trt.LayerType.DEQUANTIZE:
                before.to_type = source.to_type
                # TensorRT keeps a type that the parser has read until an input is set again.
                before.set_input(0, before.get_input(0))
                layer.set_input(index, before.get_output(0))
            elif layer.type == trt.LayerType.QUANTIZE and index == 0:
                layer.set_input(0, source.get_input(0))


def planned_convolutions(network: Any) -> LayerPrecisions:
    """List the convolutions of a strongly typed network with the type that each is to compute in.

    INT8 is one whose input and weights both come dequantised from INT8.
    """
    layers = list(layers_of(network))
    maker = {layer.get_output(0).name: layer for layer in layers}
    kinds = {trt.LayerType.CONVOLUTION, trt.LayerType.DECONVOLUTION}
    return LayerPrecisions(
        "network",
        {layer.name: _precision(layer, maker) for layer in layers if layer.type in kinds},
    )


def _precision(layer: Any, maker: dict[str, Any]) -> str:
    inputs = [layer.get_input(index) for index in range(min(2, layer.num_inputs))]
    sources = [maker.get(tensor.name) for tensor in inputs if tensor is not None]
    if len(sources) == 2 and all(
        source is not None and source.type == trt.LayerType.DEQUANTIZE for source in sources
    ):
        return "int8"
    dtype = layer.get_output(0).dtype
    return _PRECISIONS.get(dtype, str(dtype))
