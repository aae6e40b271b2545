"""The deployment graph as ONNX, the form that every other compiler reads."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import onnx
import torch
from onnx import TensorProto, helper
from torch import nn

from pipeline.errors import BuildError
from pipeline.graph.deployment import example_frames
from pipeline.runtimes.compiler import INPUT, OUTPUT
from pipeline.runtimes.padding import pad_in_convolutions

#: ONNX operator set; 18 is the newest that TensorRT 10.3 (JetPack 6) supports completely.
OPSET = 18


def export_onnx(graph: nn.Module, path: Path, free_batch: bool = False) -> None:
    """Write ``graph`` to ``path``, frame height and width free in ``FRAME_SIZES``.

    Args:
        graph: with the input and output of a deployment graph, in inference mode; plain, or with
            Q/DQ pairs from :class:`pipeline.graph.qdq.QDQGraph`.
        path: file to write.
        free_batch: the number of frames is free, too; else it is 1.

    Raises:
        BuildError: the network holds something that torch.export or the ONNX exporter refuses.
    """
    example, free = example_frames(free_batch)
    try:
        with _quiet(), torch.no_grad():
            exported = torch.export.export(graph, (example,), dynamic_shapes=(free,))
            program = torch.onnx.export(
                exported,
                dynamo=True,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=[OUTPUT],
                verbose=False,
            )
    except Exception as error:  # the exporter raises many kinds, all about the network
        reason = str(error).strip().splitlines()[0] if str(error).strip() else ""
        raise BuildError(
            f"the network cannot be exported to ONNX ({type(error).__name__}: {reason}), expected "
            "static shapes and standard operators; rewrite the operation named here"
        ) from error
    if program is None:
        raise BuildError("the ONNX exporter returned nothing; update torch and onnxscript")
    proto = program.model_proto
    _name_layers(proto)
    pad_in_convolutions(proto)
    _cast_before_quantising(proto)
    onnx.save(proto, path)


def _name_layers(model: onnx.ModelProto) -> None:
    """Give each convolution its name in the network, and drop the exporter's stack traces.

    The names appear in reports on precision and in profiles; the traces hold source paths of this
    machine.
    """
    makers = {output: node for node in model.graph.node for output in node.output}
    for node in model.graph.node:
        if node.op_type in {"Conv", "ConvTranspose"}:
            weight = node.input[1]
            while weight in makers:  # DequantizeLinear, maybe followed by a Cast
                weight = makers[weight].input[0]
            node.name = weight.removeprefix("network.").rpartition(".")[0]
        del node.metadata_props[:]
    for value in (*model.graph.input, *model.graph.output):
        del value.metadata_props[:]


def _cast_before_quantising(model: onnx.ModelProto) -> None:
    """Cast FP16 tensors to FP32 before QuantizeLinear, whose scales are FP32.

    Up to operator set 22 its tensor and scale must have the same type.
    """
    types = {
        value.name: value.type.tensor_type.elem_type
        for value in (*model.graph.value_info, *model.graph.input)
    }
    nodes = []
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear" and types.get(node.input[0]) == TensorProto.FLOAT16:
            wide = f"{node.output[0]}_wide"
            nodes.append(helper.make_node("Cast", [node.input[0]], [wide], to=TensorProto.FLOAT))
            node.input[0] = wide
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide the exporter's progress and deprecation notes from the user."""
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    exporter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        exporter.setLevel(level)
