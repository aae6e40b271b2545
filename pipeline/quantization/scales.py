"""The scales of a quantised graph, read from the graph instead of its table.

They differ where several tensors share one scale, which is that of the largest range.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.fx import GraphModule, Node

from calibration.records import Dtype
from pipeline.graph.qdq import QDQGraph

_QUANTISE = torch.ops.quantized_decomposed.quantize_per_tensor.default
_DTYPES: dict[object, Dtype] = {torch.int8: "int8", torch.uint8: "uint8"}


@dataclass(frozen=True)
class TensorScale:
    """How one activation tensor is quantised; its zero point is 0.

    Attributes:
        tensor: name, see ``Placement.tensors``.
        dtype: signed or unsigned bytes.
        scale: value of one step.
        threshold: largest magnitude that is not clipped.
    """

    tensor: str
    dtype: Dtype
    scale: float
    threshold: float


def scales_of(graph: QDQGraph) -> tuple[TensorScale, ...]:
    """Quantise the graph and return the scale of every activation tensor, in graph order.

    Weights are left out: they have a scale per output channel and are not clipped.
    """
    names = {node.name: name for node, name in graph.placement.sites.items()}
    module = graph.with_dtype(torch.float32)
    assert isinstance(module, GraphModule)
    found = {}
    for node in module.graph.nodes:
        if node.target is _QUANTISE:
            scale = _scale(node, names)
            found[scale.tensor, scale.scale] = scale  # one tensor may be quantised for each reader
    return tuple(found.values())


def _scale(node: Node, names: dict[str, str]) -> TensorScale:
    value, scale, _, _, largest, dtype = node.args
    assert isinstance(value, Node)
    assert isinstance(scale, float)
    assert isinstance(largest, int)
    return TensorScale(names[value.name], _DTYPES[dtype], scale, scale * largest)
