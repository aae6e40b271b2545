"""Networks of other projects as their exporters wrote them, with newly drawn weights.

``tests/data/third_party`` contains ONNX files of segmentation-models-pytorch 0.6.0 and torchvision
0.29.1, written with torch 2.14.1 by both exporters at a small size. Instead of large weights they
contain mean and deviation; scales of convolutions are chosen so that values stay in range.
"""

from __future__ import annotations

import lzma
import math
from pathlib import Path

import numpy as np
import onnx
from onnx import AttributeProto, ModelProto, TensorProto, numpy_helper

FOLDER = Path(__file__).parents[1] / "data" / "third_party"
CLASSES = 5

#: Names of architecture and exporter of each file.
FILES = tuple(sorted(path.name.removesuffix(".onnx.xz") for path in FOLDER.glob("*.onnx.xz")))


def third_party(name: str) -> ModelProto:
    """Read a file and fill in weights, the same each time."""
    model = onnx.load_from_string(lzma.decompress((FOLDER / f"{name}.onnx.xz").read_bytes()))
    rng = np.random.default_rng(7)
    filters = {
        node.input[1]
        for node in model.graph.node
        if node.op_type in {"Conv", "ConvTranspose", "MatMul", "Gemm"}
    }
    for tensor in model.graph.initializer:
        _fill(tensor, tensor.name in filters, rng)
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.TENSOR:
                _fill(attribute.t, node.output[0] in filters, rng)
    return model


def _fill(tensor: TensorProto, is_filter: bool, rng: np.random.Generator) -> None:
    if not tensor.doc_string:
        return
    shape = tuple(tensor.dims)
    mean, deviation = (float(number) for number in tensor.doc_string.split())
    if is_filter:
        inputs = math.prod(shape[1:]) if len(shape) == 4 else shape[0]
        values = rng.normal(0, math.sqrt(2 / inputs), shape)
    else:
        # Biases and scales that are all equal in a fresh network are spread a little.
        values = rng.normal(mean, max(deviation, 0.05), shape)
    name = tensor.name
    tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float32), name))
