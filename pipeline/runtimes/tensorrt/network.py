"""A TensorRT network before the build: read from ONNX, casts around INT8 removed, layers listed.

``tensorrt`` and ``tensorrt_rtx`` have the same Python API, so functions take either module as
``trt``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from pipeline.engine.manifest import LayerPrecisions
from pipeline.errors import BuildError
from pipeline.progress import Progress
from pipeline.runtimes.compiler import Job
from pipeline.runtimes.export import export_job
from pipeline.runtimes.tensorrt.log import collecting_logger as collecting_logger


@dataclass(frozen=True)
class Filled:
    """A network that is ready to be built.

    Attributes:
        builder: of the network.
        network: strongly typed, one input and one output.
        keep: objects that must live as long as the network, such as its weights.
    """

    builder: Any
    network: Any
    keep: object = None


def fill_from_onnx(trt: ModuleType, job: Job, logger: Any, progress: Progress) -> Filled:
    """Export the job's graph, or take its ONNX file, and parse it into a strongly typed network.

    Raises:
        BuildError: the graph cannot be exported, or the parser refuses it.
    """
    onnx = job.folder / "graph.onnx"
    if isinstance(job.graph, Path):
        onnx = job.graph
    else:
        progress("exporting to ONNX", 0.0)
        export_job(job, job.floats, onnx)
    progress("parsing", 0.3)
    builder = trt.Builder(logger)
    return Filled(builder, parse_network(trt, builder, onnx, logger))


def parse_network(trt: ModuleType, builder: Any, onnx: Path, logger: Any) -> Any:
    """Read an ONNX file into a strongly typed network.

    Raises:
        BuildError: the parser refuses it; its first reasons are quoted.
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
    _drop_casts_around_int8(trt, network)
    return network


def layers_of(trt: ModuleType, network: Any) -> Iterator[Any]:
    """Yield the layers, each with its own class instead of ``ILayer``."""
    classes = {
        trt.LayerType.CAST: trt.ICastLayer,
        trt.LayerType.CONSTANT: trt.IConstantLayer,
        trt.LayerType.DEQUANTIZE: trt.IDequantizeLayer,
        trt.LayerType.QUANTIZE: trt.IQuantizeLayer,
    }
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        if layer.type in classes:
            layer.__class__ = classes[layer.type]
        yield layer


def _drop_casts_around_int8(trt: ModuleType, network: Any) -> None:
    """Let Q and DQ read and write FP16 directly; ``scales`` converts their scales.

    In ONNX of our operator set they are FP32 only, so the file has casts around them. TensorRT
    fuses Q and DQ only with adjacent layers.
    """
    layers = list(layers_of(trt, network))
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
                # TensorRT uses the new type only after an input is set again.
                before.set_input(0, before.get_input(0))
                layer.set_input(index, before.get_output(0))
            elif layer.type == trt.LayerType.QUANTIZE and index == 0:
                layer.set_input(0, source.get_input(0))


def planned_convolutions(trt: ModuleType, network: Any) -> LayerPrecisions:
    """List the convolutions of a strongly typed network with the precision planned for each.

    It is INT8 where input and weights are both dequantised from INT8.
    """
    layers = list(layers_of(trt, network))
    maker = {layer.get_output(0).name: layer for layer in layers}
    kinds = {trt.LayerType.CONVOLUTION, trt.LayerType.DECONVOLUTION}
    return LayerPrecisions(
        "network",
        {layer.name: _precision(trt, layer, maker) for layer in layers if layer.type in kinds},
    )


def _precision(trt: ModuleType, layer: Any, maker: dict[str, Any]) -> str:
    inputs = [layer.get_input(index) for index in range(min(2, layer.num_inputs))]
    sources = [maker.get(tensor.name) for tensor in inputs if tensor is not None]
    if len(sources) == 2 and all(
        source is not None and source.type == trt.LayerType.DEQUANTIZE for source in sources
    ):
        return "int8"
    names = {
        trt.DataType.FLOAT: "fp32",
        trt.DataType.HALF: "fp16",
        trt.DataType.BF16: "bf16",
        trt.DataType.INT8: "int8",
    }
    dtype = layer.get_output(0).dtype
    return names.get(dtype, str(dtype))
